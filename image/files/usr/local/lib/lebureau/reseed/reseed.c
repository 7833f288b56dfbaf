/*
 * A Node-API addon that lets the guest tools reseed the random numbers of a running Node process.
 *
 * A machine that is resumed from another one's memory has that one's OpenSSL generators too. The
 * addon listens on a Unix socket in a thread of its own, so that it answers whatever JavaScript is
 * doing. Who connects sends SEED_BYTES; they and fresh bytes of the kernel go into the process's
 * primary generator (RAND_seed(3), which node exports), whose children in every thread reseed
 * themselves when they are next used (OpenSSL 3, EVP_RAND(7)). The answer is "reseeded\n".
 *
 * Node's headers are not in the image, so the three functions of Node-API are declared here.
 */

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEED_BYTES 64
#define NAPI_AUTO_LENGTH ((size_t)-1)

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);

extern int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
extern int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
extern int napi_get_value_string_utf8(napi_env, napi_value, char *, size_t, size_t *);
extern int napi_throw_error(napi_env, const char *, const char *);
extern void RAND_seed(const void *, int);

static const char DONE[] = "reseeded\n";

static void serve(int connection)
{
    unsigned char seed[SEED_BYTES];
    size_t length = 0;
    ssize_t count;

    while (length < SEED_BYTES && (count = read(connection, seed + length, SEED_BYTES - length)) > 0)
        length += count;
    if (length == SEED_BYTES) {
        RAND_seed(seed, SEED_BYTES);
        send(connection, DONE, sizeof DONE - 1, MSG_NOSIGNAL);
    }
    close(connection);
}

static void *serve_forever(void *listener)
{
    int connection;

    for (;;)
        if ((connection = accept((int)(ptrdiff_t)listener, NULL, NULL)) >= 0)
            serve(connection);
    return NULL;
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    unlink(path);
    if (listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0
        && listen(listener, 8) == 0)
        return listener;
    return -1;
}

/* Signals stay with node's own threads. */
static int start_thread(int listener)
{
    pthread_t thread;
    sigset_t all, before;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, serve_forever, (void *)(ptrdiff_t)listener);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed || pthread_detach(thread);
}

/* JavaScript: listen(path) */
static napi_value listen_in_background(napi_env env, napi_callback_info info)
{
    char path[sizeof ((struct sockaddr_un *)0)->sun_path] = "";
    size_t count = 1;
    napi_value argument = NULL;
    int listener;

    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    napi_get_value_string_utf8(env, argument, path, sizeof path, NULL);
    listener = listen_on(path);
    if (listener < 0 || start_thread(listener))
        napi_throw_error(env, NULL, "the socket for new random seeds cannot be opened");
    return NULL;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
    napi_value function = NULL;

    (void)exports;
    napi_create_function(env, "listen", NAPI_AUTO_LENGTH, listen_in_background, NULL, &function);
    return function;
}
