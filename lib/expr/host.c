/*
 * expr/host.c: functions of the host in expressions.
 *
 * evs_function_register() parses "name(TYPE, ...) RETURNS TYPE" and hangs the function on the
 * context, in a list that its attachment owns; expressions compiled later find it there. A call
 * runs the function once per row that counts, on values as evs_value: small, without allocation,
 * text by pointer. NULLs are given to it. It is never called for a row that another part of the
 * expression has already decided, nor while an expression is compiled.
 *
 * Functions are registered before they are used, from one thread; the list only grows, at its
 * front, and is read without a lock.
 */
#include <stdio.h>
#include <string.h>

#include "expr/functions.h"
#include "expr/lexer.h"

#define ATTACHMENT "evs.functions"
#define REASON_MAX 200

typedef struct host_registry {
    _Atomic(evs__host_function *) first;
} host_registry;

void evs__host_function_free(evs_context *ctx, evs__host_function *f)
{
    if (!f)
        return;
    for (size_t i = 0; f->args && i < f->arg_count; i++)
        evs_type_unref(f->args[i]);
    evs__free(ctx, (void *)f->args);
    evs_type_unref(f->result);
    evs__free(ctx, (char *)f->name);
    evs__free(ctx, f);
}

static void registry_free(evs_context *ctx, void *value)
{
    host_registry *r = value;
    evs__host_function *f = atomic_load(&r->first);

    while (f) {
        evs__host_function *next = f->next;
        evs__host_function_free(ctx, f);
        f = next;
    }
    evs__free(ctx, r);
}

const evs__host_function *evs__host_functions(evs_context *ctx)
{
    host_registry *r = evs_context_attached(ctx, ATTACHMENT);
    return r ? atomic_load_explicit(&r->first, memory_order_acquire) : NULL;
}

static evs_status registry_of(evs_context *ctx, host_registry **ret, evs_error **reterr)
{
    host_registry *r = evs_context_attached(ctx, ATTACHMENT);
    evs_status status;

    if (!r) {
        r = evs__calloc(ctx, 1, sizeof(*r));
        if (!r)
            return evs__nomem(reterr);
        status = evs_context_attach(ctx, ATTACHMENT, r, registry_free, reterr);
        if (status) {
            evs__free(ctx, r);
            return status;
        }
    }
    *ret = r;
    return EVS_OK;
}

/* ---- signatures ---- */

typedef struct signature {
    evs_context *ctx;
    const char *text;
    evs__token token;
    evs__host_function *f;
    evs_error **reterr;
} signature;

static evs_status signature_fault(signature *s, uint32_t position, const char *message)
{
    char origin[32];
    snprintf(origin, sizeof(origin), "column %u", position + 1);
    return evs__fail_at(s->ctx, s->reterr, EVS_ERR_EXPRESSION, origin,
                        "\"%.60s\": %s (a signature is \"name(VARCHAR, DOUBLE) RETURNS BIGINT\")",
                        s->text, message);
}

static void advance(signature *s)
{
    evs__lex(s->text, s->token.end, &s->token);
}

/* a type up to the next comma or parenthesis that is not its own */
static evs_status parse_type(signature *s, const evs_type **ret)
{
    uint32_t position = s->token.position, end = position;
    int32_t open = 0;
    evs_type *type = NULL;
    evs_error *error = NULL;
    char *text;
    evs_status status;

    while (s->token.kind != EVS__TOKEN_END && s->token.kind != EVS__TOKEN_BAD) {
        bool comma = evs__token_is_symbol(&s->token, ",");
        if (open == 0 && (comma || evs__token_is_symbol(&s->token, ")")))
            break;
        open += evs__token_is_symbol(&s->token, "(") - evs__token_is_symbol(&s->token, ")");
        end = s->token.end;
        advance(s);
    }
    text = evs__strndup(s->ctx, s->text + position, end - position);
    if (!text)
        return evs__nomem(s->reterr);
    status = evs_type_parse(s->ctx, text, &type, &error);
    evs__free(s->ctx, text);
    if (!status && type->id >= EVS_TYPE_ARRAY)
        status = signature_fault(s, position, "only types without parts go to the host");
    else if (status == EVS_ERR_NOMEM)
        (void)evs__nomem(s->reterr);
    else if (status)
        status = signature_fault(s, position, evs_error_message(error));
    evs_error_unref(error);
    if (status) {
        evs_type_unref(type);
        return status;
    }
    *ret = type;
    return EVS_OK;
}

static evs_status parse_name(signature *s)
{
    char *name;

    if (s->token.kind != EVS__TOKEN_NAME || s->token.quoted)
        return signature_fault(s, s->token.position, "expected a name");
    name = evs__strndup(s->ctx, s->token.text, s->token.len);
    if (!name)
        return evs__nomem(s->reterr);
    for (char *p = name; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
    s->f->name = name;
    advance(s);
    return EVS_OK;
}

static evs_status parse_arguments(signature *s)
{
    evs_status status;

    s->f->args = evs__calloc(s->ctx, EVS__ARGS_MAX, sizeof(*s->f->args));
    if (!s->f->args)
        return evs__nomem(s->reterr);
    if (!evs__token_is_symbol(&s->token, "("))
        return signature_fault(s, s->token.position, "expected \"(\"");
    advance(s);
    for (bool more = !evs__token_is_symbol(&s->token, ")"); more;) {
        if (s->f->arg_count == EVS__ARGS_MAX)
            return signature_fault(s, s->token.position, "too many arguments");
        status = parse_type(s, &s->f->args[s->f->arg_count]);
        if (status)
            return status;
        s->f->arg_count++;
        more = evs__token_is_symbol(&s->token, ",");
        if (more)
            advance(s);
    }
    if (!evs__token_is_symbol(&s->token, ")"))
        return signature_fault(s, s->token.position, "expected \",\" or \")\"");
    advance(s);
    return EVS_OK;
}

static evs_status parse_signature(signature *s)
{
    uint32_t position;
    evs_status status;

    evs__lex(s->text, 0, &s->token);
    status = parse_name(s);
    if (!status)
        status = parse_arguments(s);
    if (status)
        return status;
    if (!evs__token_is_word(&s->token, "RETURNS"))
        return signature_fault(s, s->token.position, "expected RETURNS");
    advance(s);
    position = s->token.position;
    status = parse_type(s, &s->f->result);
    if (!status && s->f->result->id == EVS_TYPE_DECIMAL)
        status = signature_fault(s, position, "a function cannot return a DECIMAL");
    if (!status && s->token.kind != EVS__TOKEN_END)
        status = signature_fault(s, s->token.position, "expected the end");
    return status;
}

static bool is_known(evs_context *ctx, const char *name)
{
    size_t count;
    const evs__function *table = evs__functions(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return true;
    }
    for (const evs__host_function *h = evs__host_functions(ctx); h; h = h->next) {
        if (strcmp(h->name, name) == 0)
            return true;
    }
    return false;
}

evs_status evs__host_signature(evs_context *ctx,
                               const char *text,
                               evs__host_function **ret,
                               evs_error **reterr)
{
    signature s = {.ctx = ctx, .text = text, .reterr = reterr};
    evs_status status;

    if (strlen(text) > 4096 || !evs__utf8_valid(text, strlen(text)))
        return evs__fail(ctx, reterr, EVS_ERR_EXPRESSION,
                         "the signature is too long, or not UTF-8");
    s.f = evs__calloc(ctx, 1, sizeof(*s.f));
    if (!s.f)
        return evs__nomem(reterr);
    status = parse_signature(&s);
    if (status) {
        evs__host_function_free(ctx, s.f);
        return status;
    }
    *ret = s.f;
    return EVS_OK;
}

evs_status evs_function_register(
    evs_context *context, const char *text, evs_scalar_fn fn, void *user_data, evs_error **reterr)
{
    evs__host_function *f = NULL;
    host_registry *registry = NULL;
    evs_status status;

    if (!context || !text || !fn)
        return evs__fail(context, reterr, EVS_ERR_INVALID, "context, signature or fn is NULL");
    status = evs__host_signature(context, text, &f, reterr);
    if (status)
        return status;
    f->fn = fn;
    f->user_data = user_data;
    if (is_known(context, f->name))
        status = evs__fail(context, reterr, EVS_ERR_EXPRESSION,
                           "there is a function \"%s\" already", f->name);
    if (!status)
        status = registry_of(context, &registry, reterr);
    if (status) {
        evs__host_function_free(context, f);
        return status;
    }
    f->next = atomic_load(&registry->first);
    atomic_store_explicit(&registry->first, f, memory_order_release);
    return EVS_OK;
}

/* ---- calls ---- */

void evs__value_get(const evs__column *c, size_t row, evs_value *v)
{
    evs_string_view s;

    *v = (evs_value){.type = (int32_t)c->type->id, .is_null = evs__column_is_null(c, row)};
    switch (c->type->id) {
    case EVS_TYPE_BOOLEAN:
        v->integer = evs__bit_get(c->bits, row);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        v->integer = c->i32[row];
        break;
    case EVS_TYPE_DECIMAL:
        v->type = EVS_TYPE_DOUBLE;
        v->number = evs__decimal_to_double(c->i128[row], c->type->scale);
        break;
    case EVS_TYPE_DOUBLE:
        v->number = c->f64[row];
        break;
    case EVS_TYPE_VARCHAR:
    case EVS_TYPE_BYTES:
        s = evs__column_str(c, row);
        v->data = s.len ? s.data : "";
        v->len = s.len;
        break;
    default:
        v->integer = c->i64[row];
        break;
    }
}

/* what the function gave, into the result; NULL: a reason why it cannot be used */
static const char *put_value(evs__column *out, uint32_t row, const evs_value *v)
{
    switch (out->type->id) {
    case EVS_TYPE_BOOLEAN:
        evs__bit_clear(out->bits, row);
        if (v->integer)
            evs__bit_set(out->bits, row);
        break;
    case EVS_TYPE_INT:
    case EVS_TYPE_DATE:
    case EVS_TYPE_TIME:
        if (v->integer < INT32_MIN || v->integer > INT32_MAX)
            return "its result does not fit the type";
        out->i32[row] = (int32_t)v->integer;
        break;
    case EVS_TYPE_DOUBLE:
        out->f64[row] = v->number;
        break;
    case EVS_TYPE_VARCHAR:
        if (v->len && !evs__utf8_valid(v->data, v->len))
            return "its result is not valid UTF-8";
        break;
    case EVS_TYPE_BYTES:
        break;
    default:
        out->i64[row] = v->integer;
        break;
    }
    return NULL;
}

/* one row; text is appended by the caller */
static evs_status call_row(evs__eval *ev,
                           const evs__term *n,
                           evs__column *const *cols,
                           evs__column *out,
                           uint32_t row,
                           evs_value *result)
{
    const evs__host_function *f = n->state;
    evs_value args[EVS__ARGS_MAX];
    char reason[REASON_MAX] = "";
    const char *why = NULL;
    evs_status status;

    for (uint32_t k = 0; k < n->arg_count; k++)
        evs__value_get(cols[k], row * EVS__STRIDE(n->args[k]), &args[k]);
    *result = (evs_value){.type = (int32_t)n->type->id, .is_null = 1};
    status = f->fn(args, n->arg_count, result, reason, sizeof(reason), f->user_data);
    reason[sizeof(reason) - 1] = '\0';
    reason[evs__utf8_valid_prefix(reason, strlen(reason))] = '\0';
    if (status) {
        result->is_null = 1;
        return evs__fail_row(ev, n, out, row, EVS_ERR_CALLBACK, "%s: %s", f->name,
                             reason[0] ? reason : evs_status_text(status));
    }
    if (!result->is_null)
        why = put_value(out, row, result);
    if (!why && !result->is_null)
        return EVS_OK;
    result->is_null = 1;
    if (why)
        return evs__fail_row(ev, n, out, row, EVS_ERR_CALLBACK, "%s: %s", f->name, why);
    return evs__column_set_null(out, row);
}

evs_status evs__eval_host(evs__eval *ev, evs__term *n, const evs__rows *rows, evs__column **ret)
{
    evs__column *cols[EVS__ARGS_MAX];
    evs__column *out = NULL;
    bool text = evs__type_is_string(n->type->id);
    evs_value result;
    evs_status status = EVS_OK;

    for (uint32_t i = 0; i < n->arg_count && !status; i++)
        status = evs__term_eval(ev, n->args[i], rows, &cols[i]);
    if (!status)
        status = evs__term_out(ev, n, rows, &out);
    if (status)
        return status;
    EVS__FOR_ROWS(rows, i)
    {
        status = call_row(ev, n, cols, out, i, &result);
        if (!status && text && !result.is_null)
            status = evs__text_put(ev, n, out, i, result.data, result.len);
        if (status)
            return status;
    }
    evs__zero_nulls(out);
    *ret = out;
    return text ? evs__text_skip(out, rows->total) : EVS_OK;
}
