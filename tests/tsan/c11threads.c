/*
 * c11threads.c: C11 threads on top of POSIX threads, preloaded into ThreadSanitizer runs.
 *
 * librdkafka, as Debian builds it, makes its threads with thrd_create() and locks with mtx_lock().
 * ThreadSanitizer (clang 14, gcc 12) knows the POSIX functions only: a thread that it did not see
 * begin crashes in its first intercepted call, and no lock of librdkafka orders anything. glibc's
 * C11 objects have room for the POSIX ones (asserted below), so each call becomes the one that the
 * sanitizer intercepts, and what passes through librdkafka's queues is ordered as it really is.
 *
 * Built without the sanitizer. What librdkafka does not use is not here.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex fits");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition fits");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thread is a thread");

struct start {
    thrd_start_t run;
    void *argument;
};

static int result(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ETIMEDOUT:
        return thrd_timedout;
    case ENOMEM:
        return thrd_nomem;
    default:
        return thrd_error;
    }
}

static void *begin(void *argument)
{
    struct start start = *(struct start *)argument;

    free(argument);
    return (void *)(intptr_t)start.run(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *argument)
{
    struct start *start = malloc(sizeof(*start));
    int error = 0;

    if (!start)
        return thrd_nomem;
    start->run = run;
    start->argument = argument;
    error = pthread_create((pthread_t *)thread, NULL, begin, start);
    if (error)
        free(start);
    return result(error);
}

int thrd_join(thrd_t thread, int *ret_value)
{
    void *value = NULL;
    int error = pthread_join((pthread_t)thread, &value);

    if (!error && ret_value)
        *ret_value = (int)(intptr_t)value;
    return result(error);
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error)
        return result(error);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(error);
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int mtx_lock(mtx_t *mutex)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
    return result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int cnd_init(cnd_t *condition)
{
    return result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_signal(cnd_t *condition)
{
    return result(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition,
                  mtx_t *restrict mutex,
                  const struct timespec *restrict until)
{
    return result(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}
