/*
 * Out-of-memory sweep over dedup, limit, sample and top: rows, a sweep of the state, a snapshot
 * taken and restored. A batch that failed was not taken: given again it passes what it would have
 * passed.
 */
#include <stdio.h>

#include "evs_test.h"

#include "engine/operator.h"
#include "evstream/pipeline.h"

typedef struct sink {
    uint32_t rows, rejected;
} sink;

static evs_status sink_emit(void *user, int port, evs_batch *batch, evs_error **reterr)
{
    (void)port;
    (void)reterr;
    ((sink *)user)->rows += batch->count;
    return EVS_OK;
}

static void sink_reject(void *user,
                        const evs_batch *batch,
                        uint32_t row,
                        const char *stage,
                        evs_status status,
                        const char *message)
{
    (void)batch;
    (void)row;
    (void)stage;
    (void)status;
    (void)message;
    ((sink *)user)->rejected++;
}

/* 300 keys twice, one NULL */
static evs_status
make_batch(evs_context *ctx, bool top, int64_t base, evs_batch **ret, evs_error **err)
{
    evs_type *type = NULL;
    evs_appender *a = NULL;
    evs_status status =
        evs_type_parse(ctx, "STRUCT<k VARCHAR, n INT NOT NULL> NOT NULL", &type, err);

    if (!status)
        status = evs_appender_new(ctx, type, &a, err);
    for (int i = 0; !status && i < 601; i++) {
        char key[48];
        snprintf(key, sizeof(key), "a key that is not kept inline %d", i % 300);
        evs_append_time(a, base + i % (top ? 2 : 300));
        if (i == 600)
            evs_append_null(a);
        else
            evs_append_string(a, key, strlen(key));
        evs_append_int(a, i);
        status = evs_append_end_row(a, err);
    }
    if (!status)
        status = evs_appender_take(a, ret, err);
    evs_appender_unref(a);
    evs_type_unref(type);
    return status;
}

static evs_status
make_operator(evs_context *ctx, const evs_type *in, int which, evs__operator **ret, evs_error **err)
{
    evs_dedup_options d = EVS_DEDUP_OPTIONS_INIT;
    evs_limit_options l = EVS_LIMIT_OPTIONS_INIT;

    d.within_ms = l.per_ms = 1000;
    l.rows = 1;
    if (which == 3)
        return evs__top_new(ctx, in, "n % 3", "k DESC, n", 100, 1 << 30, 1, EVS_TIME_WATERMARK, ret,
                            err);
    if (which == 2)
        return evs__sample_new(ctx, in, "k", 2, ret, err);
    return which ? evs__limit_new(ctx, in, "k, n - n", &l, 1, EVS_TIME_WATERMARK, ret, err)
                 : evs__dedup_new(ctx, in, "k", &d, 1, EVS_TIME_WATERMARK, ret, err);
}

static evs_status restart(evs__operator *op, evs_error **err)
{
    evs__buffer bytes;
    evs_status status;

    evs__buffer_init(&bytes, op->ctx, SIZE_MAX);
    status = op->fn->snapshot(op, &bytes, err);
    if (!status)
        status = op->fn->restore(op, bytes.data, bytes.len, err);
    evs__buffer_free(&bytes);
    return status;
}

static evs_status gate_scenario(evs_context *ctx, void *user_data)
{
    int which = *(int *)user_data;
    sink s = {0, 0};
    evs__out out = {&s, sink_emit, sink_reject, NULL};
    evs__operator *op = NULL;
    evs_batch *batch = NULL;
    evs_error *err = NULL;
    evs_status failed = EVS_OK, status = EVS_OK;

    for (int round = 0; round < 3 && !status; round++) {
        status = make_batch(ctx, which == 3, round * 10000, &batch, &err);
        if (!status && !op)
            status = make_operator(ctx, batch->type, which, &op, &err);
        for (int again = 0; !status && again < 2; again++) {
            status = op->fn->process(op, batch, 0, &out, &err);
            if (status == EVS_ERR_NOMEM && !again) { /* not taken: once more */
                failed = status;
                status = EVS_OK;
                err = evs_error_unref(err);
            } else {
                break;
            }
        }
        if (!status && which != 2)
            status = op->fn->advance(op, 0, round * 10000 + 5000, false, 0,
                                     which == 3 ? &out : NULL, &err);
        if (!status && which != 2)
            status = restart(op, &err);
        evs_batch_unref(batch);
        batch = NULL;
    }
    if (!status && which < 2 && (s.rows != 900 || s.rejected != 3))
        fail_msg("%u rows passed, %u were rejected", s.rows, s.rejected);
    /* which keys are in is fixed for ever */
    if (!status && which == 2 && (s.rows != 891 || s.rejected))
        fail_msg("%u rows passed", s.rows);
    /* each time and third: all the best hundred of 100 or 101, three rounds */
    if (!status && which == 3 && (s.rows != 1800 || s.rejected))
        fail_msg("%u rows were given, %u rejected", s.rows, s.rejected);
    evs__operator_free(op);
    evs_error_unref(err);
    return status ? status : failed;
}

static void test_gates_survive_every_failed_allocation(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++)
        assert_true(evs_test_oom_sweep(gate_scenario, &which) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates_survive_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
