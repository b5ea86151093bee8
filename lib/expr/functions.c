/*
 * expr/functions.c: the table of functions; see functions.h for its letters.
 *
 * Signatures of one name stand together, the cheapest type first. To add a function: its evaluator
 * in functions_*.c, its row here; the reference page is made from the row.
 */
#include "expr/functions.h"

static bool all_nullable(const evs__term *call, uint32_t from)
{
    for (uint32_t i = from; i < call->arg_count; i++) {
        if (!call->args[i]->type->nullable)
            return false;
    }
    return true;
}

/* coalesce, greatest, least: NULL when all are */
static evs_status
type_unless_all_null(evs_context *ctx, const evs__term *call, bool nullable, const evs_type **ret)
{
    (void)ctx;
    (void)nullable;
    return evs__type_with_nullable(call->args[0]->type, all_nullable(call, 0), ret);
}

/* if: NULL when one of both may be */
static evs_status
type_of_branches(evs_context *ctx, const evs__term *call, bool nullable, const evs_type **ret)
{
    (void)ctx;
    (void)nullable;
    return evs__type_with_nullable(
        call->args[1]->type, call->args[1]->type->nullable || call->args[2]->type->nullable, ret);
}

/* no digits after the point, one more before it */
static evs_status
type_whole(evs_context *ctx, const evs__term *call, bool nullable, const evs_type **ret)
{
    const evs_type *t = call->args[0]->type;
    int32_t precision = t->precision - t->scale + 1;
    return evs__type_decimal(ctx, precision > 38 ? 38 : precision, 0, nullable, ret);
}

/* rounding may carry into one more digit */
static evs_status
type_rounded(evs_context *ctx, const evs__term *call, bool nullable, const evs_type **ret)
{
    const evs_type *t = call->args[0]->type;
    return evs__type_decimal(ctx, t->precision < 38 ? t->precision + 1 : 38, t->scale, nullable,
                             ret);
}

#define NUMBER .group = "number"
#define TEXT .group = "text"
#define TIME .group = "time"
#define CHOICE .group = "choice"
#define NESTED .group = "nested"
#define OTHER .group = "other"

/* name, argument letters, result letter, evaluator */
#define ROW(n, a, r, e) .name = n, .args = a, .result = r, .eval = e

/* clang-format off */
static const evs__function table[] = {
    {ROW("abs", "i", "=", evs__fn_abs), NUMBER, .usage = "abs(x)", .doc = "The number without its sign"},
    {ROW("abs", "l", "=", evs__fn_abs), NUMBER, .usage = "abs(x)", .doc = "The number without its sign"},
    {ROW("abs", "m", "=", evs__fn_abs), NUMBER, .usage = "abs(x)", .doc = "The number without its sign"},
    {ROW("abs", "d", "=", evs__fn_abs), NUMBER, .usage = "abs(x)", .doc = "The number without its sign"},
    {ROW("array_contains", "AT", "b", evs__fn_array_contains), NESTED, .usage = "array_contains(array, x)", .doc = "Whether an element of the array equals x"},
    {ROW("array_length", "A", "i", evs__fn_cardinality), NESTED, .usage = "array_length(array)", .doc = "Number of elements"},
    {ROW("cardinality", "A", "i", evs__fn_cardinality), NESTED, .usage = "cardinality(array)", .doc = "Number of elements"},
    {ROW("cardinality", "M", "i", evs__fn_cardinality), NESTED, .usage = "cardinality(map)", .doc = "Number of entries"},
    {ROW("ceil", "i", "=", evs__fn_same), NUMBER, .usage = "ceil(x)", .doc = "The least whole number not below x"},
    {ROW("ceil", "l", "=", evs__fn_same), NUMBER, .usage = "ceil(x)", .doc = "The least whole number not below x"},
    {ROW("ceil", "m", NULL, evs__fn_round_decimal), .result_type = type_whole, NUMBER, .usage = "ceil(x)", .doc = "The least whole number not below x"},
    {ROW("ceil", "d", "d", evs__fn_real), NUMBER, .usage = "ceil(x)", .doc = "The least whole number not below x"},
    {ROW("coalesce", "T*", NULL, evs__eval_coalesce), .result_type = type_unless_all_null, .lazy = true, CHOICE, .usage = "coalesce(x, y, ...)", .doc = "The first argument that is not NULL; the ones behind it are not evaluated"},
    {ROW("concat", "s*", "s", evs__fn_concat), .lazy = true, TEXT, .usage = "concat(x, y, ...)", .doc = "The texts one behind the other, NULLs left out (with || they make the result NULL)"},
    {ROW("contains", "ss", "b", evs__fn_contains), TEXT, .usage = "contains(text, part)", .doc = "Whether the part is in the text"},
    {ROW("date_trunc", "st", "t", evs__fn_date_trunc), TIME, .usage = "date_trunc('hour', ts)", .doc = "The beginning of the millisecond, second, minute, hour, day, week, month, quarter or year in UTC"},
    {ROW("day", "t", "i", evs__fn_time_part), TIME, .usage = "day(ts)", .doc = "Day of the month in UTC"},
    {ROW("ends_with", "ss", "b", evs__fn_contains), TEXT, .usage = "ends_with(text, part)", .doc = "Whether the text ends with the part"},
    {ROW("exp", "d", "d", evs__fn_real), NUMBER, .usage = "exp(x)", .doc = "e to the power of x"},
    {ROW("extract", "st", "l", evs__fn_extract), TIME, .usage = "extract(year FROM ts)", .doc = "A part of a time in UTC: millisecond, second, minute, hour, day, week (ISO), month, quarter, year, doy, dow (Monday 1), epoch (seconds)"},
    {ROW("floor", "i", "=", evs__fn_same), NUMBER, .usage = "floor(x)", .doc = "The greatest whole number not above x"},
    {ROW("floor", "l", "=", evs__fn_same), NUMBER, .usage = "floor(x)", .doc = "The greatest whole number not above x"},
    {ROW("floor", "m", NULL, evs__fn_round_decimal), .result_type = type_whole, NUMBER, .usage = "floor(x)", .doc = "The greatest whole number not above x"},
    {ROW("floor", "d", "d", evs__fn_real), NUMBER, .usage = "floor(x)", .doc = "The greatest whole number not above x"},
    {ROW("from_unixtime", "l", "t", evs__eval_cast), TIME, .usage = "from_unixtime(ms)", .doc = "The time so many milliseconds after 1970-01-01T00:00:00Z"},
    {ROW("greatest", "T*", NULL, evs__eval_extreme), .result_type = type_unless_all_null, .lazy = true, CHOICE, .usage = "greatest(x, y, ...)", .doc = "The greatest argument that is not NULL"},
    {ROW("hash64", "X*", "l", evs__fn_hash64), .lazy = true, OTHER, .usage = "hash64(x, ...)", .doc = "A hash of the values that never changes between versions"},
    {ROW("hour", "t", "i", evs__fn_time_part), TIME, .usage = "hour(ts)", .doc = "Hour of the day in UTC"},
    {ROW("if", "bTT", NULL, evs__eval_case), .result_type = type_of_branches, .lazy = true, CHOICE, .usage = "if(condition, x, y)", .doc = "x where the condition is TRUE, else y; only the one taken is evaluated"},
    {ROW("ifnull", "TT", NULL, evs__eval_coalesce), .result_type = type_unless_all_null, .lazy = true, CHOICE, .usage = "ifnull(x, y)", .doc = "x, or y where x is NULL"},
    {ROW("instr", "ss", "i", evs__fn_position), TEXT, .usage = "instr(text, part)", .doc = "Where the part first stands in the text, from 1; 0 if it does not"},
    {ROW("least", "T*", NULL, evs__eval_extreme), .result_type = type_unless_all_null, .lazy = true, CHOICE, .usage = "least(x, y, ...)", .doc = "The least argument that is not NULL"},
    {ROW("length", "s", "i", evs__fn_length), TEXT, .usage = "length(text)", .doc = "Number of characters"},
    {ROW("length", "y", "i", evs__fn_length), TEXT, .usage = "length(bytes)", .doc = "Number of bytes"},
    {ROW("ln", "d", "d", evs__fn_real), NUMBER, .usage = "ln(x)", .doc = "Natural logarithm; a row error for x <= 0"},
    {ROW("lower", "s", "s", evs__fn_change_case), TEXT, .usage = "lower(text)", .doc = "The text in lower case (Latin, Greek, Cyrillic, Armenian)"},
    {ROW("ltrim", "s", "s", evs__fn_trim), TEXT, .usage = "ltrim(text)", .doc = "The text without spaces at its beginning"},
    {ROW("millisecond", "t", "i", evs__fn_time_part), TIME, .usage = "millisecond(ts)", .doc = "Millisecond of the second"},
    {ROW("minute", "t", "i", evs__fn_time_part), TIME, .usage = "minute(ts)", .doc = "Minute of the hour"},
    {ROW("mod", "TT", "T", NULL), .alias = "%", NUMBER, .usage = "mod(x, y)", .doc = "The rest of x / y with the sign of x, the same as x % y; a row error for y = 0"},
    {ROW("month", "t", "i", evs__fn_time_part), TIME, .usage = "month(ts)", .doc = "Month of the year in UTC, from 1"},
    {ROW("nullif", "TT", "T", evs__eval_nullif), .lazy = true, .nullable = true, CHOICE, .usage = "nullif(x, y)", .doc = "NULL where x equals y, else x"},
    {ROW("position", "ss", "i", evs__fn_position), TEXT, .usage = "position(part IN text)", .doc = "Where the part first stands in the text, from 1; 0 if it does not"},
    {ROW("power", "dd", "d", evs__fn_power), NUMBER, .usage = "power(x, y)", .doc = "x to the power of y"},
    {ROW("quarter", "t", "i", evs__fn_time_part), TIME, .usage = "quarter(ts)", .doc = "Quarter of the year in UTC, from 1"},
    {ROW("replace", "sss", "s", evs__fn_replace), TEXT, .usage = "replace(text, from, to)", .doc = "The text with every `from` replaced by `to`"},
    {ROW("round", "i", "=", evs__fn_same), NUMBER, .usage = "round(x)", .doc = "The nearest whole number, halves away from zero"},
    {ROW("round", "l", "=", evs__fn_same), NUMBER, .usage = "round(x)", .doc = "The nearest whole number, halves away from zero"},
    {ROW("round", "m", NULL, evs__fn_round_decimal), .result_type = type_whole, NUMBER, .usage = "round(x)", .doc = "The nearest whole number, halves away from zero"},
    {ROW("round", "d", "d", evs__fn_round), NUMBER, .usage = "round(x)", .doc = "The nearest whole number, halves away from zero"},
    {ROW("round", "mi", NULL, evs__fn_round_decimal), .result_type = type_rounded, NUMBER, .usage = "round(x, digits)", .doc = "The nearest number of so many digits after the point, halves away from zero"},
    {ROW("round", "di", "d", evs__fn_round), NUMBER, .usage = "round(x, digits)", .doc = "The nearest number of so many digits after the point, halves away from zero"},
    {ROW("rtrim", "s", "s", evs__fn_trim), TEXT, .usage = "rtrim(text)", .doc = "The text without spaces at its end"},
    {ROW("second", "t", "i", evs__fn_time_part), TIME, .usage = "second(ts)", .doc = "Second of the minute"},
    {ROW("sign", "d", "i", evs__fn_sign), NUMBER, .usage = "sign(x)", .doc = "-1, 0 or 1"},
    {ROW("split_part", "ssi", "s", evs__fn_split_part), TEXT, .usage = "split_part(text, delimiter, n)", .doc = "The n-th piece between delimiters, from 1, negative from the end; empty if there are fewer"},
    {ROW("sqrt", "d", "d", evs__fn_real), NUMBER, .usage = "sqrt(x)", .doc = "Square root; a row error for x < 0"},
    {ROW("starts_with", "ss", "b", evs__fn_contains), TEXT, .usage = "starts_with(text, part)", .doc = "Whether the text begins with the part"},
    {ROW("strpos", "ss", "i", evs__fn_position), TEXT, .usage = "strpos(text, part)", .doc = "Where the part first stands in the text, from 1; 0 if it does not"},
    {ROW("substring", "sii?", "s", evs__fn_substring), TEXT, .usage = "substring(text, start, length)", .doc = "The characters from `start` on, at most `length`; `start` counts from 1, negative from the end"},
    {ROW("to_timestamp", "s", "t", evs__eval_cast), TIME, .usage = "to_timestamp(text)", .doc = "The time that an ISO 8601 text tells, UTC when it has no zone"},
    {ROW("trim", "s", "s", evs__fn_trim), TEXT, .usage = "trim(text)", .doc = "The text without spaces at both ends"},
    {ROW("unix_timestamp", "t", "l", evs__eval_cast), TIME, .usage = "unix_timestamp(ts)", .doc = "Milliseconds since 1970-01-01T00:00:00Z"},
    {ROW("upper", "s", "s", evs__fn_change_case), TEXT, .usage = "upper(text)", .doc = "The text in upper case (Latin, Greek, Cyrillic, Armenian)"},
    {ROW("week", "t", "i", evs__fn_time_part), TIME, .usage = "week(ts)", .doc = "Week of the year as ISO 8601 counts them, in UTC"},
    {ROW("year", "t", "i", evs__fn_time_part), TIME, .usage = "year(ts)", .doc = "Year in UTC"},
};
/* clang-format on */

const evs__function *evs__functions(size_t *ret_count)
{
    *ret_count = sizeof(table) / sizeof(table[0]);
    return table;
}
