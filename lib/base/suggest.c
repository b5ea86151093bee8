/*
 * base/suggest.c: "did you mean": the closest of some names by edit distance (insert, remove,
 * replace, swap of neighbours; Damerau-Levenshtein with three rows), case not counted.
 */
#include "base/config.h"

#define WORD_MAX 64

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* both at most WORD_MAX long */
static int edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][WORD_MAX + 1];
    int *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= m; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int *spare = before;
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

const char *evs__did_you_mean(const char *word, const char *const *names, size_t count)
{
    size_t n = strlen(word);
    int limit = n < 6 ? (n > 1 ? 2 - (n < 4) : 0) : (int)(n / 3);
    const char *best = NULL;

    if (n > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t m = strlen(names[i]);
        int d;
        if (m > WORD_MAX)
            continue;
        d = edit_distance(word, n, names[i], m);
        if (d <= limit && (!best || d < limit)) {
            best = names[i];
            limit = d;
        }
    }
    return best;
}
