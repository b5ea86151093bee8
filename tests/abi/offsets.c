/*
 * offsets.c: the frozen layout of the public structs on 64-bit machines.
 *
 * Written by scripts/abi-baseline, never changed to make a build pass: a program that was compiled
 * against these headers keeps these numbers for ever. A struct grows only at its end.
 */
#include <evstream/evstream.h>

#include <stddef.h>

#if __SIZEOF_POINTER__ == 8

#define SIZE(type, size) _Static_assert(sizeof(type) == size, "size of " #type)
#define FIELD(type, field, offset, size)                                                           \
    _Static_assert(offsetof(type, field) == offset && sizeof(((type *)0)->field) == size,          \
                   "offset or size of " #field " in " #type)

/* evstream/aggregate.h */
SIZE(struct evs_aggregate, 96);
FIELD(struct evs_aggregate, struct_size, 0, 8);
FIELD(struct evs_aggregate, signature, 8, 8);
FIELD(struct evs_aggregate, state_size, 16, 8);
FIELD(struct evs_aggregate, user_data, 24, 8);
FIELD(struct evs_aggregate, init, 32, 8);
FIELD(struct evs_aggregate, add, 40, 8);
FIELD(struct evs_aggregate, merge, 48, 8);
FIELD(struct evs_aggregate, retract, 56, 8);
FIELD(struct evs_aggregate, result, 64, 8);
FIELD(struct evs_aggregate, serialise, 72, 8);
FIELD(struct evs_aggregate, restore, 80, 8);
FIELD(struct evs_aggregate, destroy, 88, 8);

/* evstream/arrow.h */
SIZE(struct ArrowSchema, 72);
FIELD(struct ArrowSchema, format, 0, 8);
FIELD(struct ArrowSchema, name, 8, 8);
FIELD(struct ArrowSchema, metadata, 16, 8);
FIELD(struct ArrowSchema, flags, 24, 8);
FIELD(struct ArrowSchema, n_children, 32, 8);
FIELD(struct ArrowSchema, children, 40, 8);
FIELD(struct ArrowSchema, dictionary, 48, 8);
FIELD(struct ArrowSchema, release, 56, 8);
FIELD(struct ArrowSchema, private_data, 64, 8);

/* evstream/arrow.h */
SIZE(struct ArrowArray, 80);
FIELD(struct ArrowArray, length, 0, 8);
FIELD(struct ArrowArray, null_count, 8, 8);
FIELD(struct ArrowArray, offset, 16, 8);
FIELD(struct ArrowArray, n_buffers, 24, 8);
FIELD(struct ArrowArray, n_children, 32, 8);
FIELD(struct ArrowArray, buffers, 40, 8);
FIELD(struct ArrowArray, children, 48, 8);
FIELD(struct ArrowArray, dictionary, 56, 8);
FIELD(struct ArrowArray, release, 64, 8);
FIELD(struct ArrowArray, private_data, 72, 8);

/* evstream/arrow.h */
SIZE(struct ArrowArrayStream, 40);
FIELD(struct ArrowArrayStream, get_schema, 0, 8);
FIELD(struct ArrowArrayStream, get_next, 8, 8);
FIELD(struct ArrowArrayStream, get_last_error, 16, 8);
FIELD(struct ArrowArrayStream, release, 24, 8);
FIELD(struct ArrowArrayStream, private_data, 32, 8);

/* evstream/batch.h */
SIZE(struct evs_string_view, 16);
FIELD(struct evs_string_view, data, 0, 8);
FIELD(struct evs_string_view, len, 8, 8);

/* evstream/batch.h */
SIZE(struct evs_column_view, 56);
FIELD(struct evs_column_view, type, 0, 8);
FIELD(struct evs_column_view, length, 8, 8);
FIELD(struct evs_column_view, validity, 16, 8);
FIELD(struct evs_column_view, values, 24, 8);
FIELD(struct evs_column_view, offsets, 32, 8);
FIELD(struct evs_column_view, handle, 40, 8);
FIELD(struct evs_column_view, layout, 48, 4);
FIELD(struct evs_column_view, child_count, 52, 4);

/* evstream/batch.h */
SIZE(struct evs_row, 24);
FIELD(struct evs_row, batch, 0, 8);
FIELD(struct evs_row, reserved, 8, 8);
FIELD(struct evs_row, index, 16, 4);
FIELD(struct evs_row, reserved2, 20, 4);

/* evstream/codec.h */
SIZE(struct evs_header, 24);
FIELD(struct evs_header, name, 0, 8);
FIELD(struct evs_header, value, 8, 8);
FIELD(struct evs_header, value_len, 16, 8);

/* evstream/codec.h */
SIZE(struct evs_input, 56);
FIELD(struct evs_input, value, 0, 8);
FIELD(struct evs_input, key, 8, 8);
FIELD(struct evs_input, handle, 16, 8);
FIELD(struct evs_input, offset, 24, 8);
FIELD(struct evs_input, timestamp, 32, 8);
FIELD(struct evs_input, value_len, 40, 4);
FIELD(struct evs_input, key_len, 44, 4);
FIELD(struct evs_input, partition, 48, 4);
FIELD(struct evs_input, topic, 52, 4);

/* evstream/connector.h */
SIZE(struct evs_option_info, 64);
FIELD(struct evs_option_info, name, 0, 8);
FIELD(struct evs_option_info, default_value, 8, 8);
FIELD(struct evs_option_info, values, 16, 8);
FIELD(struct evs_option_info, doc, 24, 8);
FIELD(struct evs_option_info, since, 32, 8);
FIELD(struct evs_option_info, min, 40, 8);
FIELD(struct evs_option_info, max, 48, 8);
FIELD(struct evs_option_info, type, 56, 4);
FIELD(struct evs_option_info, required, 60, 4);

/* evstream/connector.h */
SIZE(struct evs_read, 48);
FIELD(struct evs_read, inputs, 0, 8);
FIELD(struct evs_read, batch, 8, 8);
FIELD(struct evs_read, handle, 16, 8);
FIELD(struct evs_read, count, 24, 8);
FIELD(struct evs_read, batch_offset, 32, 8);
FIELD(struct evs_read, batch_partition, 40, 4);
FIELD(struct evs_read, reserved, 44, 4);

/* evstream/connector.h */
SIZE(struct evs_source_host, 64);
FIELD(struct evs_source_host, struct_size, 0, 8);
FIELD(struct evs_source_host, runtime, 8, 8);
FIELD(struct evs_source_host, application_id, 16, 8);
FIELD(struct evs_source_host, assigned, 24, 8);
FIELD(struct evs_source_host, revoking, 32, 8);
FIELD(struct evs_source_host, wake, 40, 8);
FIELD(struct evs_source_host, state, 48, 8);
FIELD(struct evs_source_host, schema, 56, 8);

/* evstream/connector.h */
SIZE(struct evs_source_functions, 136);
FIELD(struct evs_source_functions, struct_size, 0, 8);
FIELD(struct evs_source_functions, options, 8, 8);
FIELD(struct evs_source_functions, open, 16, 8);
FIELD(struct evs_source_functions, describe, 24, 8);
FIELD(struct evs_source_functions, identity, 32, 8);
FIELD(struct evs_source_functions, read, 40, 8);
FIELD(struct evs_source_functions, release, 48, 8);
FIELD(struct evs_source_functions, partition_state, 56, 8);
FIELD(struct evs_source_functions, end_offset, 64, 8);
FIELD(struct evs_source_functions, seek, 72, 8);
FIELD(struct evs_source_functions, pause, 80, 8);
FIELD(struct evs_source_functions, commit, 88, 8);
FIELD(struct evs_source_functions, headers, 96, 8);
FIELD(struct evs_source_functions, schema, 104, 8);
FIELD(struct evs_source_functions, committed, 112, 8);
FIELD(struct evs_source_functions, push, 120, 8);
FIELD(struct evs_source_functions, close, 128, 8);

/* evstream/connector.h */
SIZE(struct evs_sink_identity, 32);
FIELD(struct evs_sink_identity, application_id, 0, 8);
FIELD(struct evs_sink_identity, sink_name, 8, 8);
FIELD(struct evs_sink_identity, task, 16, 4);
FIELD(struct evs_sink_identity, key_count, 20, 4);
FIELD(struct evs_sink_identity, windowed, 24, 4);
FIELD(struct evs_sink_identity, commit_group, 28, 4);

/* evstream/connector.h */
SIZE(struct evs_sink_functions, 104);
FIELD(struct evs_sink_functions, struct_size, 0, 8);
FIELD(struct evs_sink_functions, options, 8, 8);
FIELD(struct evs_sink_functions, guarantee, 16, 4);
FIELD(struct evs_sink_functions, reserved, 20, 4);
FIELD(struct evs_sink_functions, open, 24, 8);
FIELD(struct evs_sink_functions, recover, 32, 8);
FIELD(struct evs_sink_functions, write, 40, 8);
FIELD(struct evs_sink_functions, flush, 48, 8);
FIELD(struct evs_sink_functions, commit, 56, 8);
FIELD(struct evs_sink_functions, abort, 64, 8);
FIELD(struct evs_sink_functions, poll, 72, 8);
FIELD(struct evs_sink_functions, close, 80, 8);
FIELD(struct evs_sink_functions, shares_transaction, 88, 8);
FIELD(struct evs_sink_functions, refused, 96, 8);

/* evstream/connector.h */
SIZE(struct evs_connector, 40);
FIELD(struct evs_connector, struct_size, 0, 8);
FIELD(struct evs_connector, name, 8, 8);
FIELD(struct evs_connector, doc, 16, 8);
FIELD(struct evs_connector, source, 24, 8);
FIELD(struct evs_connector, sink, 32, 8);

/* evstream/context.h */
SIZE(struct evs_allocator, 32);
FIELD(struct evs_allocator, malloc_fn, 0, 8);
FIELD(struct evs_allocator, realloc_fn, 8, 8);
FIELD(struct evs_allocator, free_fn, 16, 8);
FIELD(struct evs_allocator, user_data, 24, 8);

/* evstream/context.h */
SIZE(struct evs_context_options, 72);
FIELD(struct evs_context_options, struct_size, 0, 8);
FIELD(struct evs_context_options, allocator, 8, 32);
FIELD(struct evs_context_options, log, 40, 8);
FIELD(struct evs_context_options, log_user_data, 48, 8);
FIELD(struct evs_context_options, log_level, 56, 4);
FIELD(struct evs_context_options, reserved, 60, 4);
FIELD(struct evs_context_options, module_dir, 64, 8);

/* evstream/function.h */
SIZE(struct evs_value, 40);
FIELD(struct evs_value, type, 0, 4);
FIELD(struct evs_value, is_null, 4, 4);
FIELD(struct evs_value, integer, 8, 8);
FIELD(struct evs_value, number, 16, 8);
FIELD(struct evs_value, data, 24, 8);
FIELD(struct evs_value, len, 32, 8);

/* evstream/options.h */
SIZE(struct evs_options, 16);
FIELD(struct evs_options, pairs, 0, 8);
FIELD(struct evs_options, count, 8, 8);

/* evstream/pipeline.h */
SIZE(struct evs_dedup_options, 40);
FIELD(struct evs_dedup_options, struct_size, 0, 8);
FIELD(struct evs_dedup_options, within_ms, 8, 8);
FIELD(struct evs_dedup_options, grace_ms, 16, 8);
FIELD(struct evs_dedup_options, state_bytes_max, 24, 8);
FIELD(struct evs_dedup_options, since, 32, 4);
FIELD(struct evs_dedup_options, null_key, 36, 4);

/* evstream/pipeline.h */
SIZE(struct evs_limit_options, 48);
FIELD(struct evs_limit_options, struct_size, 0, 8);
FIELD(struct evs_limit_options, rows, 8, 8);
FIELD(struct evs_limit_options, per_ms, 16, 8);
FIELD(struct evs_limit_options, grace_ms, 24, 8);
FIELD(struct evs_limit_options, state_bytes_max, 32, 8);
FIELD(struct evs_limit_options, null_key, 40, 4);
FIELD(struct evs_limit_options, reserved, 44, 4);

/* evstream/pipeline.h */
SIZE(struct evs_table_cursor, 32);
FIELD(struct evs_table_cursor, place, 0, 32);

/* evstream/producer.h */
SIZE(struct evs_message, 56);
FIELD(struct evs_message, struct_size, 0, 8);
FIELD(struct evs_message, key, 8, 8);
FIELD(struct evs_message, key_len, 16, 8);
FIELD(struct evs_message, headers, 24, 8);
FIELD(struct evs_message, header_count, 32, 8);
FIELD(struct evs_message, timestamp_ms, 40, 8);
FIELD(struct evs_message, partition, 48, 4);
FIELD(struct evs_message, reserved, 52, 4);

/* evstream/producer.h */
SIZE(struct evs_delivery, 56);
FIELD(struct evs_delivery, topic, 0, 8);
FIELD(struct evs_delivery, error, 8, 8);
FIELD(struct evs_delivery, key, 16, 8);
FIELD(struct evs_delivery, key_len, 24, 8);
FIELD(struct evs_delivery, offset, 32, 8);
FIELD(struct evs_delivery, latency_us, 40, 8);
FIELD(struct evs_delivery, partition, 48, 4);
FIELD(struct evs_delivery, reserved, 52, 4);

/* evstream/producer.h */
SIZE(struct evs_field_binding, 32);
FIELD(struct evs_field_binding, field, 0, 8);
FIELD(struct evs_field_binding, offset, 8, 8);
FIELD(struct evs_field_binding, size, 16, 8);
FIELD(struct evs_field_binding, kind, 24, 4);
FIELD(struct evs_field_binding, reserved, 28, 4);

/* evstream/window.h */
SIZE(struct evs_window_options, 136);
FIELD(struct evs_window_options, struct_size, 0, 8);
FIELD(struct evs_window_options, size_ms, 8, 8);
FIELD(struct evs_window_options, offset_ms, 16, 8);
FIELD(struct evs_window_options, grace_ms, 24, 8);
FIELD(struct evs_window_options, out_of_orderness_ms, 32, 8);
FIELD(struct evs_window_options, state_bytes_max, 40, 8);
FIELD(struct evs_window_options, kind, 48, 4);
FIELD(struct evs_window_options, emit, 52, 4);
FIELD(struct evs_window_options, time, 56, 4);
FIELD(struct evs_window_options, null_key, 60, 4);
FIELD(struct evs_window_options, advance_ms, 64, 8);
FIELD(struct evs_window_options, step_ms, 72, 8);
FIELD(struct evs_window_options, gap_ms, 80, 8);
FIELD(struct evs_window_options, emit_every_ms, 88, 8);
FIELD(struct evs_window_options, emit_count, 96, 8);
FIELD(struct evs_window_options, late, 104, 4);
FIELD(struct evs_window_options, calendar, 108, 4);
FIELD(struct evs_window_options, zone, 112, 8);
FIELD(struct evs_window_options, size_rows, 120, 8);
FIELD(struct evs_window_options, advance_rows, 128, 8);

#endif
