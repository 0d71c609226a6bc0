/* SPDX-License-Identifier: Apache-2.0
 *
 * First part of a packed file for one CPU, in place of the shell script: hands the call to
 * the warm server, answers VERSION, or has the script start Python, without which it does
 * the first two. It says what launcher/client.py and launcher/version.py say; they have
 * the reasons. facts.h is written by launcher/per_cpu.py.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "facts.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define READ_MAX 65536
enum { BRIEF = 20, PATIENCE = 1000, IN_A_RUSH = 5000, EVER = -1, VERSION_SOON = 100 };

/* A note stands in the first bytes of a program: there the script tells of build and root
 * whoever looks for them, as it does where it is the beginning of the file itself. */
__attribute__((section(".note.cnipy"), used, aligned(4))) static const struct {
    unsigned owner_size, text_size, kind;
    char owner[8], text[(sizeof LAUNCHER + 3) & ~3];
} note = {sizeof "cnipy", sizeof note.text, 1, "cnipy", LAUNCHER};

extern char **environ;

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int is_command(const char *path)
{
    return !strcmp(base_name(path), "cnipy");
}

/* Whether a server may carry out the call: of a plugin any, of the command some. */
static int is_for_server(const char *self, const char *verb, int argc, char **argv)
{
    if (!is_command(self))
        return verb && *verb;
    for (size_t i = 0; argc > 1 && i < LENGTH(changes); i++)
        if (!strcmp(argv[1], changes[i]))
            return 1;
    return 0;
}

/* Become the script's cold start; from here on nothing is ours. */
static void start_cold(char *self, int argc, char **argv)
{
    char **words = calloc(argc + 5, sizeof *words);
    if (words) {
        memcpy(words, (char *[]){"sh", "-c", (char *)note.text, self}, 4 * sizeof *words);
        if (argc > 1)
            memcpy(words + 4, argv + 1, (argc - 1) * sizeof *words);
        execv("/bin/sh", words);
    }
    perror("/bin/sh");
    exit(1);
}

/* The next byte of the connection, or -1. */
static int told(int connection, int milliseconds)
{
    struct pollfd until = {.fd = connection, .events = POLLIN};
    unsigned char byte;
    if (poll(&until, 1, milliseconds) != 1 || recv(connection, &byte, 1, 0) != 1)
        return -1;
    return byte;
}

/* What the server says first: READY when it may be given the call. */
static int first_word(int connection)
{
    struct ucred listener;
    socklen_t size = sizeof listener;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &listener, &size))
        return -1;
    if (listener.uid != 0 && listener.uid != geteuid())
        return -1;
    if (listener.pid > 1 && kill(listener.pid, 0))
        return -1;
    int word = told(connection, listener.pid > 1 ? PATIENCE : BRIEF);
    return word == 'W' ? told(connection, IN_A_RUSH) : word;
}

/* The text of the call: its length, then its parts with NUL between them. */
static char *request(char *self, int argc, char **argv, size_t *size)
{
    char numbers[2][16], *head[] = {BUILD, numbers[0], numbers[1], self};
    mode_t mask = umask(077);
    umask(mask);
    snprintf(numbers[0], sizeof *numbers, "%u", mask);
    snprintf(numbers[1], sizeof *numbers, "%d", argc ? argc : 1);
    char **parts[] = {head, argv + 1, environ};
    size_t count[] = {LENGTH(head), argc > 1 ? argc - 1 : 0, 0}, whole = 4;
    while (environ[count[2]])
        count[2]++;
    for (size_t i = 0; i < LENGTH(parts); i++)
        for (size_t j = 0; j < count[i]; j++)
            whole += strlen(parts[i][j]) + 1;
    char *text = malloc(whole), *end = text + 4;
    for (size_t i = 0; text && i < LENGTH(parts); i++)
        for (size_t j = 0; j < count[i]; j++)
            end = stpcpy(end, parts[i][j]) + 1;
    *size = whole - 1; /* none after the last */
    for (int i = 0; text && i < 4; i++)
        text[i] = (*size - 4) >> (24 - 8 * i);
    return text;
}

/* Send the text with our streams, our directory and a pipe that hangs up when we end. */
static int hand_over(int connection, char *text, size_t size)
{
    int lifeline[2], directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!text || directory < 0 || pipe2(lifeline, O_CLOEXEC))
        return -1;
    int descriptors[] = {0, 1, 2, directory, lifeline[0]};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof descriptors)];
    } rights = {.head = {CMSG_LEN(sizeof descriptors), .cmsg_level = SOL_SOCKET,
                         .cmsg_type = SCM_RIGHTS}};
    struct iovec piece = {text, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &rights,
                             .msg_controllen = sizeof rights.space};
    memcpy(CMSG_DATA(&rights.head), descriptors, sizeof descriptors);
    ssize_t sent = sendmsg(connection, &message, MSG_NOSIGNAL);
    for (size_t done = sent; sent > 0 && done < size; done += sent)
        sent = send(connection, text + done, size - done, MSG_NOSIGNAL);
    return sent > 0 ? 0 : -1;
}

/* The exit status of a call that a server has carried out, or -1 for a cold start. */
static int served(char *self, int argc, char **argv)
{
    static const char lost[] =
        "{\"cniVersion\": \"1.1.0\", \"code\": 11, \"msg\": \"serve warm call: the server"
        " ended before the call did\", \"details\": \"call DEL, then try again\"}\n";
    static const char lost_command[] =
        "cnipy: serve warm call: the server ended before the call did: try again\n";
    const struct sockaddr_un place = {AF_UNIX, SOCKET};
    size_t size;
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connect(connection, (const struct sockaddr *)&place, sizeof place))
        return -1;
    if (first_word(connection) != 'R' || fcntl(connection, F_SETFL, 0))
        return -1;
    char *text = request(self, argc, argv, &size);
    if (hand_over(connection, text, size) || told(connection, EVER) != 'A')
        return -1;
    int status = told(connection, EVER);
    if (status >= '0' && status <= '2')
        return status - '0';
    signal(SIGPIPE, SIG_IGN);
    if (is_command(self))
        return write(2, lost_command, sizeof lost_command - 1) < 0 ? 1 : 1;
    return write(1, lost, sizeof lost - 1) < 0 ? 1 : 1;
}

/* The version in {"cniVersion":"1.0.0"}, the newest without input, or none. */
static const char *stated(const char *text, ssize_t size)
{
    char bare[64], wanted[64];
    size_t length = 0;
    for (ssize_t i = 0; i < size; i++) {
        if (memchr(" \t\r\n", text[i], 4))
            continue;
        if (length == sizeof bare)
            return NULL;
        bare[length++] = text[i];
    }
    for (size_t i = 0; i < LENGTH(supported); i++) {
        snprintf(wanted, sizeof wanted, "{\"cniVersion\":\"%s\"}", supported[i]);
        if (length == strlen(wanted) && !memcmp(bare, wanted, length))
            return supported[i];
    }
    return size > 0 ? NULL : NEWEST;
}

/* What stdin has by now, none of it taken away: the script reads it if it must. */
static ssize_t glance(char *text, size_t size)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    struct stat kind;
    int copy[2];
    if (poll(&input, 1, VERSION_SOON) != 1)
        return 0;
    if (fstat(0, &kind))
        return -1;
    if (S_ISSOCK(kind.st_mode))
        return recv(0, text, size, MSG_PEEK);
    if (S_ISFIFO(kind.st_mode)) {
        if (pipe2(copy, O_CLOEXEC))
            return -1;
        ssize_t there = tee(0, copy[1], size, SPLICE_F_NONBLOCK);
        return there > 0 ? read(copy[0], text, there) : there;
    }
    off_t at = lseek(0, 0, SEEK_CUR);
    return S_ISCHR(kind.st_mode) ? read(0, text, 1) : pread(0, text, size, at);
}

/* Answer VERSION and end, unless the script has to. */
static void answer(const char *name)
{
    static char text[READ_MAX], document[1024];
    const char *versions = NULL, *version;
    for (size_t i = 0; i < LENGTH(plugins); i++)
        if (!strcmp(plugins[i].name, name))
            versions = plugins[i].versions;
    if (!versions)
        return;
    if ((version = stated(text, glance(text, sizeof text)))) {
        int length = snprintf(document, sizeof document,
            "{\"cniVersion\": \"%s\", \"supportedVersions\": [%s]}\n", version, versions);
        void (*before)(int) = signal(SIGPIPE, SIG_IGN);
        if (write(1, document, length) >= 0)
            exit(0);
        signal(SIGPIPE, before);
    }
}

int main(int argc, char **argv)
{
    char *self = (char *)getauxval(AT_EXECFN);
    const char *name = base_name(self), *verb = getenv("CNI_COMMAND");
    struct stat input;
    /* The script has what stands for a stream that is closed, or cannot be one. */
    int whole = !fstat(0, &input) && !S_ISDIR(input.st_mode) &&
                fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
    if (whole && is_for_server(self, verb, argc, argv)) {
        if (!is_command(self) && !strcmp(verb, "VERSION"))
            answer(name);
        else {
            int status = served(self, argc, argv);
            if (status >= 0)
                return status;
        }
    }
    start_cold(self, argc, argv);
}
