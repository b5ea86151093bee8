/*
 * io/kafka/resend.h: messages of the sink that came back undelivered: sent again, in an order that
 * keeps the newest of a key the newest, until each is delivered or known to be refused by itself.
 */
#ifndef EVS_IO_KAFKA_RESEND_H
#define EVS_IO_KAFKA_RESEND_H

#include "io/kafka/outlet.h"

typedef struct evs__resend evs__resend;

/* the outlet is *borrowed until* evs__resend_free(). NULL: no memory. */
evs__resend *evs__resend_new(evs_context *ctx, evs__outlet *outlet);
/* after the outlet was closed: every message has been reported */
void evs__resend_free(evs__resend *r);
/* something came back: nothing new may be sent */
bool evs__resend_busy(const evs__resend *r);
/* opaque of a message that is sent for the first time: librdkafka does not say the time of one that
 * failed */
void *evs__resend_opaque(int64_t timestamp_ms);
/* A report, within the outlet's callback. EVS_OK: it is dealt with; otherwise the message is lost
 * for a reason that sending it again does not mend: *reterr. */
evs_status evs__resend_report(evs__resend *r,
                              const evs_delivery *delivery,
                              void *message_opaque,
                              evs_error **reterr);
/* Go on, without waiting. EVS_OK: nothing is left to do; EVS_AGAIN: poll the outlet, call again. */
evs_status evs__resend_step(evs__resend *r, evs_error **reterr);
/* tell what was refused, each message once */
void evs__resend_refused(evs__resend *r, evs_refused_fn refused, void *user_data);
/* forget everything: it will be written again */
void evs__resend_drop(evs__resend *r);

#endif
