/*
 * data/arrow.h: what the parts of Arrow share: formats and types (arrow_type.c), columns
 * (arrow_import.c), what streams need of the export (arrow_export.c, arrow_stream.c).
 */
#ifndef EVS_DATA_ARROW_H
#define EVS_DATA_ARROW_H

#include "data/batch.h"

#define EVS__DAY_MS 86400000

/* how the foreign values are stored */
typedef enum evs__arrow_source {
    EVS__ARROW_SAME, /* as ours */
    EVS__ARROW_I8,
    EVS__ARROW_U8,
    EVS__ARROW_I16,
    EVS__ARROW_U16,
    EVS__ARROW_I32,
    EVS__ARROW_U32,
    EVS__ARROW_I64,
    EVS__ARROW_U64,
    EVS__ARROW_F32,
    EVS__ARROW_FIXED, /* BYTES of one width; ARRAY of one length */
    EVS__ARROW_LARGE  /* 64-bit offsets */
} evs__arrow_source;

typedef struct evs__arrow_format {
    evs_type_id id;
    evs__arrow_source from;
    int32_t precision, scale; /* DECIMAL */
    int32_t fixed;            /* EVS__ARROW_FIXED: width or length */
    int64_t multiply, divide; /* of times, to reach ms or days; 0: as it is */
} evs__arrow_format;

/* keeps the foreign structs until nothing points into them */
typedef struct evs__arrow_holder {
    atomic_int refs;
    bool taken; /* the import succeeded: release what was transferred */
    evs_context *ctx;
    struct ArrowSchema schema;
    struct ArrowArray array;
} evs__arrow_holder;

typedef struct evs__arrow_importer {
    evs_context *ctx;
    evs__arrow_holder *hold;
    evs_error **reterr;
    uint32_t depth;
} evs__arrow_importer;

/* EVS_ERR_UNSUPPORTED, EVS_ERR_INVALID naming the column */
evs_status evs__arrow_import_type(evs__arrow_importer *im,
                                  const struct ArrowSchema *schema,
                                  const evs_type **ret);
/* false: there is no counterpart */
bool evs__arrow_parse_format(const char *text, evs__arrow_format *ret);
/* `column "x": text` */
evs_status evs__arrow_fault(evs__arrow_importer *im,
                            evs_status status,
                            const struct ArrowSchema *schema,
                            const char *text);
/* the schema of batches of a STRUCT: EVS_ERR_NOMEM, EVS_ERR_LIMIT */
evs_status evs__arrow_export_type(const evs_type *type, bool with_meta, struct ArrowSchema *ret);
/* of a constructor's status */
evs_status evs__arrow_failed(evs__arrow_importer *im, evs_status status);

#endif
