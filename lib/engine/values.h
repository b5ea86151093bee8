/*
 * engine/values.h: values of any type that aggregates keep, as small numbers: an interner and the
 * types its bytes are made of (engine/keys.h). One for each aggregate and slice.
 *
 * A number stays the same until the next sweep that finds it dead. NULL is a value like another
 * here; who adds rows leaves it out. -0.0 comes back as 0.0.
 */
#ifndef EVS_ENGINE_VALUES_H
#define EVS_ENGINE_VALUES_H

#include "engine/keys.h"
#include "engine/reader.h"

#define EVS__VALUE_NONE UINT32_MAX
#define EVS__VALUE_PARTS 8

typedef struct evs__values {
    evs__intern intern;
    evs__key_form form;
    uint32_t parts; /* columns of a value */
    const evs_type *types[EVS__VALUE_PARTS];
} evs__values;

void evs__values_init(evs__values *v,
                      evs__account *account,
                      const evs_type *const *types,
                      uint32_t parts);
static inline void evs__values_free(evs__values *v)
{
    evs__intern_free(&v->intern);
}
/* numbers of rows[0..n) */
evs_status evs__values_add(evs__values *v,
                           const evs__column *const *columns,
                           const uint32_t *rows,
                           uint32_t n,
                           evs__buffer *scratch,
                           uint32_t *ids);
/* append to owned columns of the types */
static inline evs_status
evs__values_get(const evs__values *v, const uint32_t *ids, uint32_t n, evs__column *const *columns)
{
    return evs__key_columns(v->form, &v->intern, ids, n, columns, v->parts);
}
/* whether two of `count` live values is reason enough to sweep before more come */
static inline bool evs__values_crowded(const evs__values *v, size_t live_at_most)
{
    return v->intern.count > 2 * live_at_most + 1024;
}
/* order by the first part, as evs__column_compare_rows(); of types without parts of their own */
int evs__values_compare(const evs__values *v, uint32_t a, uint32_t b);
/* the bytes of a value (of less than 16 bytes, not DOUBLE) as an integer */
int64_t evs__values_integer(const evs_type *type, const char *data);
/* the value as a number, of the numeric types */
double evs__values_double(const evs__values *v, uint32_t id);
/* the number of `from`'s value in `to` */
evs_status
evs__values_translate(const evs__values *from, evs__values *to, uint32_t id, uint32_t *ret_id);
/* one value: [uint32 length][bytes] */
void evs__values_write(const evs__values *v, uint32_t id, evs__buffer *out);
/* EVS_ERR_CORRUPT: not a value of the types, or NULL */
evs_status evs__values_read(evs__values *v, evs__reader *in, uint32_t *ret_id);

/* stable sort of numbers; temp has as much room */
void evs__sort_ids(uint32_t *ids,
                   uint32_t *temp,
                   size_t n,
                   int (*compare)(const void *data, uint32_t a, uint32_t b),
                   const void *data);

/* the (rank+1)st largest of n, rank < n; the array is mixed up */
int64_t evs__select_down(int64_t *v, uint32_t n, uint32_t rank);

#endif
