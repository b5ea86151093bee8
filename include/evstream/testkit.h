/*
 * evstream/testkit.h: a pipeline in the host's own tests: memory ends in place of its connectors
 * and a clock that the test moves. Nothing else is replaced: options are checked, events decoded,
 * windows closed and epochs committed by what runs in production.
 *
 *   evs_testkit_send     -> source "page_views" -> the pipeline -> sink -> evs_testkit_expect
 *   evs_testkit_advance  -> the clock: idle_timeout, close_after, commits, processing time
 *   evs_testkit_crash_and_restore: all that is not committed is gone, as is the process
 *
 * Steps are named by their name ("sink_1", option step.name), or by the value of their option
 * topic, name, table, path, key or url, when only one step has it; a sink also by the name of the
 * step whose rows it takes (evs_stream_name()).
 *
 * A call that fails keeps its error: calls behind it do nothing, expectations are false and tell
 * it, evs_testkit_error() returns it. So a test reads as one thought and checks the expectations.
 *
 * What a test sees is what is committed: every expectation commits first, so a crash at any step
 * changes no result. evs_each() runs as ever, and sees rows again after a crash.
 *
 * Each source has one partition. state.dir is not used: the kit keeps the snapshots.
 */
#ifndef EVSTREAM_TESTKIT_H
#define EVSTREAM_TESTKIT_H

#include "evstream/pipeline.h"

typedef struct evs_testkit evs_testkit;

EVS_BEGIN_DECLS

/**
 * Put a pipeline that was not started into a kit: checked here, opened by the first call that needs
 * it. The pipeline stays the caller's: it may be looked at and polled, not started, and cannot run
 * otherwise afterwards. Without evs_dead_letters() the kit adds a sink for them.
 *
 * @returns EVS_OK with a *new reference*; what evs_pipeline_check() returns; EVS_ERR_MISUSE
 * (started already, or in a kit already); EVS_ERR_NOMEM
 * @threads one at a time, as all calls of the kit and its pipeline
 * @since 0.1
 */
EVS_API evs_status evs_testkit_new(evs_pipeline *pipeline,
                                   evs_testkit **ret_kit,
                                   evs_error **reterr);
/** End the kit, and what runs in it; before or after the pipeline was released. NULL is allowed.
 * @returns NULL @threads one at a time, not in a callback @since 0.1 */
EVS_API evs_testkit *evs_testkit_close(evs_testkit *kit);
/** Why a call failed, the first one that did; NULL: none did. *borrowed until* close. @threads one
 * at a time @since 0.1 */
EVS_API const char *evs_testkit_error(const evs_testkit *kit);

/**
 * An event, as JSON text; a source of format json gets it as it is, one of another format in its
 * own form (then it must be right: a bad event is an error of this call). Without framing: no
 * registry is asked for ids. When the source's event.time names a column that the object lacks, it
 * is added from `timestamp_ms`.
 *
 * The clock moves to `timestamp_ms` when it is behind; the first event sets it.
 *
 * @param timestamp_ms of the record; EVS_TIME_NONE: none
 * @returns EVS_OK; EVS_ERR_NOT_FOUND (no such source); EVS_ERR_DECODE and others; the kept failure
 * @threads one at a time
 * @callback evs_each, evs_apply, host functions, log
 * @since 0.1
 */
EVS_API evs_status evs_testkit_send(evs_testkit *kit,
                                    const char *source,
                                    int64_t timestamp_ms,
                                    const char *json);
/** As evs_testkit_send(), bytes as they are, with a key; `value` NULL: a tombstone, `key` NULL: no
 * key. @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_send_bytes(evs_testkit *kit,
                                          const char *source,
                                          int64_t timestamp_ms,
                                          const void *value,
                                          size_t value_len,
                                          const void *key,
                                          size_t key_len);
/** Let time pass: the clock moves in small steps and the pipeline does what is due. @returns
 * EVS_OK; EVS_ERR_INVALID (negative); the kept failure @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_advance(evs_testkit *kit, int64_t ms);
/** No more events for any source: windows close as end.close_windows says. @returns EVS_OK; the
 * kept failure @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_end(evs_testkit *kit);
/** The clock, ms. @threads one at a time @since 0.1 */
EVS_API int64_t evs_testkit_now(const evs_testkit *kit);

/**
 * Whether a sink got a row with these fields that no expectation has taken yet; it is taken. Rows
 * of different keys have no promised order, so any such row will do. Fields that the text does not
 * name may be anything. Numbers are compared by value; a TIMESTAMP, DATE or TIME may also be given
 * as its number; BYTES as their text; `"_kind": "insert" | "update" | "delete"` is the row's kind.
 *
 * @param json {"page": "/a", "views": 1}
 * @param ret_why NULL is allowed; when false receives which row is nearest and how it differs;
 * *borrowed until* the next call on the kit
 * @threads one at a time
 * @since 0.1
 */
EVS_API bool
evs_testkit_expect(evs_testkit *kit, const char *sink, const char *json, const char **ret_why);
/** Whether a sink has no rows but those that expectations have taken. @threads one at a time @since
 * 0.1 */
EVS_API bool evs_testkit_expect_none(evs_testkit *kit, const char *sink, const char **ret_why);
/** As evs_testkit_expect(), for the dead letters: {"stage": "decode"}. @threads one at a time
 * @since 0.1 */
EVS_API bool
evs_testkit_expect_dead_letter(evs_testkit *kit, const char *json, const char **ret_why);
/** As evs_testkit_expect(), for late rows: those of any sink behind evs_late(), else the events in
 * dead letters of stage "late". @threads one at a time @since 0.1 */
EVS_API bool evs_testkit_expect_late(evs_testkit *kit, const char *json, const char **ret_why);
/** The next row of a sink that no expectation has taken, as JSON text, for checks of another kind;
 * it is taken. *borrowed until* the next call on the kit. @returns EVS_OK; EVS_END (there is none);
 * the kept failure @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_next(evs_testkit *kit, const char *sink, const char **ret_json);

/** From now on events arrive out of order: each up to `max_ms` of its timestamp later than its
 * place (0: in order again). They are held back until the next call that is no send. The same seed
 * gives the same order. @returns EVS_OK; EVS_ERR_INVALID @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_reorder(evs_testkit *kit, uint64_t seed, int64_t max_ms);
/** The process dies here and starts again from the last commit: sources are read again from there,
 * rows of sinks that are not of a committed epoch are taken back. @returns EVS_OK; EVS_ERR_MISUSE
 * in a callback; the kept failure @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_crash_and_restore(evs_testkit *kit);
/** As evs_testkit_crash_and_restore(), in the middle of a commit, after its step number `step`
 * (0, 1, ...). @returns EVS_OK; EVS_END (a commit has no so many steps, or there was nothing to
 * commit: it went through); the kept failure @threads one at a time @since 0.1 */
EVS_API evs_status evs_testkit_crash_in_commit(evs_testkit *kit, int32_t step);

EVS_END_DECLS

#endif
