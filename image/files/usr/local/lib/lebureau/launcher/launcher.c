/*
 * The command lebureau-guest. `apply` goes to the process that waits for it with everything loaded
 * (`lebureau-guest wait`): a machine that was just resumed would take seconds to load it again where
 * the CPU is emulated. All else, and `apply` where nobody waits, is for the program itself.
 */

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef PROGRAM
#define PROGRAM "/usr/local/libexec/lebureau-guest"
#define SOCKET "/run/lebureau/apply.sock"
#endif

/* Copies all that comes, and returns how many bytes that were, or -1 for an error. */
static long copy(int from, int to)
{
    static char buffer[65536];
    long total = 0;
    ssize_t count, written, done;

    while ((count = read(from, buffer, sizeof buffer)) > 0) {
        for (done = 0; done < count; done += written)
            if ((written = write(to, buffer + done, count - done)) < 0)
                return -1;
        total += count;
    }
    return count < 0 ? -1 : total;
}

int main(int count, char **arguments)
{
    struct sockaddr_un address;
    int waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, SOCKET);
    if (count == 2 && strcmp(arguments[1], "apply") == 0
        && connect(waiting, (struct sockaddr *)&address, sizeof address) == 0) {
        if (copy(STDIN_FILENO, waiting) < 0)
            return 1;
        shutdown(waiting, SHUT_WR);
        return copy(waiting, STDOUT_FILENO) > 0 ? 0 : 1;
    }
    arguments[0] = PROGRAM;
    execv(PROGRAM, arguments);
    return 127;
}
