/*
 * evstream/evstream.h: everything.
 */
#ifndef EVSTREAM_EVSTREAM_H
#define EVSTREAM_EVSTREAM_H

#include "evstream/api.h"
#include "evstream/status.h"
#include "evstream/error.h"
#include "evstream/context.h"
#include "evstream/options.h"
#include "evstream/type.h"
#include "evstream/arrow.h"
#include "evstream/batch.h"
#include "evstream/schema.h"
#include "evstream/codec.h"
#include "evstream/connector.h"
#include "evstream/function.h"
#include "evstream/aggregate.h"
#include "evstream/window.h"
#include "evstream/pipeline.h"
#include "evstream/producer.h"
#include "evstream/consumer.h"
#include "evstream/testkit.h"

#endif
