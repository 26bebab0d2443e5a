#include "host/base/file.h"

#include "host/base/cancel.h"
#include "host/base/env.h"
#include "host/base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A pipe or device without end must not fill the memory. */
static const size_t max_stream_bytes = (size_t)1 << 30;

/* CANCELLED where a signal was what interrupted, and it was meant so. */
static clv_status *io_error(const char *verb, const char *path, int error) {
    if (error == EINTR) {
        CLV_TRY(clv_cancel_check());
    }
    char buffer[128];
    return CLV_ERROR(
        IO, "cannot %s '%s': %s", verb, path, strerror_r(error, buffer, sizeof buffer));
}

/* open() and write() again where a signal interrupted them, but for one that cancels. */
static bool is_to_go_on(void) {
    return errno == EINTR && !clv_cancel_is_set();
}

/* Never waits for who opens a pipe's other end. */
static int open_file(const char *path, int flags) {
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    } while (fd < 0 && is_to_go_on());
    return fd;
}

/* Until a pipe or the like has something, or room, or nobody at its other end, who had been there:
 * that may never be. False with EINTR where it is cancelled meanwhile, by whatever thread. */
static bool wait_for_stream(int fd, short events) {
    enum { LOOK_MS = 50 };
    struct pollfd look = {.fd = fd, .events = events};
    while (!clv_cancel_is_set()) {
        int count = poll(&look, 1, LOOK_MS);
        if (count > 0 || (count < 0 && errno != EINTR)) {
            return true; /* reading or writing tells what it is */
        }
    }
    errno = EINTR;
    return false;
}

static ssize_t read_some(int fd, void *data, size_t bytes) {
    ssize_t got;
    do {
        if (!wait_for_stream(fd, POLLIN)) {
            return -1;
        }
        got = read(fd, data, bytes);
    } while (got < 0 && (errno == EAGAIN || errno == EINTR));
    return got;
}

static bool write_all(int fd, const unsigned char *data, size_t bytes) {
    while (bytes != 0) {
        ssize_t written = write(fd, data, bytes);
        if (written < 0 && !(errno == EAGAIN ? wait_for_stream(fd, POLLOUT) : is_to_go_on())) {
            return false;
        }
        if (written > 0) {
            data += written;
            bytes -= (size_t)written;
        }
    }
    return true;
}

static clv_status *read_stream(const char *path, int fd, clv_mapped_file *out_file) {
    void *data = NULL;
    size_t bytes = 0, capacity = 0;
    clv_status *status = NULL;
    for (;;) {
        size_t room = capacity - bytes;
        if (room == 0) {
            if (bytes >= max_stream_bytes) {
                status = CLV_ERROR(
                    IO, "cannot read '%s': not a regular file, and longer than 1 GiB", path);
                break;
            }
            size_t needed = capacity != 0 ? capacity * 2 : 65536;
            if (!clv_array_reserve(&data, &capacity, needed, 1)) {
                status = CLV_ERROR(NO_MEMORY, "out of host memory for '%s'", path);
                break;
            }
            continue;
        }
        ssize_t got = read_some(fd, (unsigned char *)data + bytes, room);
        if (got < 0) {
            status = io_error("read", path, errno);
            break;
        }
        if (got == 0) {
            break;
        }
        bytes += (size_t)got;
    }
    if (status != NULL || bytes == 0) {
        clv_free(data);
        return status;
    }
    *out_file = (clv_mapped_file){.data = data, .bytes = bytes, .is_copy = true};
    return NULL;
}

static clv_status *map_regular(const char *path, int fd, size_t bytes, clv_mapped_file *out_file) {
    void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        return io_error("map", path, errno);
    }
    *out_file = (clv_mapped_file){.data = data, .bytes = bytes};
    return NULL;
}

static clv_status *not_regular(const char *verb, const char *path) {
    return CLV_ERROR(IO, "cannot %s '%s': not a regular file", verb, path);
}

/* What is refused is not opened before: who waits at a pipe's other end would take us for its
 * reader. It may have become something else once it is open. */
static clv_status *open_and_map(const char *path, bool may_stream, clv_mapped_file *out_file) {
    *out_file = (clv_mapped_file){.data = NULL};
    struct stat info;
    if (!may_stream && stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
        return not_regular("read", path);
    }
    int fd = open_file(path, O_RDONLY);
    if (fd < 0) {
        return io_error("open", path, errno);
    }
    clv_status *status = NULL;
    if (fstat(fd, &info) != 0) {
        status = io_error("read", path, errno);
    } else if (S_ISDIR(info.st_mode)) {
        status = CLV_ERROR(IO, "cannot read '%s': it is a folder", path);
    } else if (S_ISREG(info.st_mode) && info.st_size > 0) {
        status = map_regular(path, fd, (size_t)info.st_size, out_file);
    } else if (S_ISREG(info.st_mode) || may_stream) {
        status = read_stream(path, fd, out_file);
    } else {
        status = not_regular("read", path);
    }
    close(fd);
    return status;
}

clv_status *clv_file_map(const char *path, clv_mapped_file *out_file) {
    return open_and_map(path, true, out_file);
}

clv_status *clv_file_map_regular(const char *path, clv_mapped_file *out_file) {
    return open_and_map(path, false, out_file);
}

void clv_file_unmap(clv_mapped_file *file) {
    if (file->is_copy) {
        clv_free((void *)file->data);
    } else if (file->data != NULL) {
        munmap((void *)file->data, file->bytes);
    }
    *file = (clv_mapped_file){.data = NULL};
}

void clv_file_drop_pages(const clv_mapped_file *file) {
    if (!file->is_copy && file->data != NULL) {
        madvise((void *)file->data, file->bytes, MADV_DONTNEED);
    }
}

/* To write to; a pipe's reader is waited for. */
static int open_sink(const char *path, bool is_pipe) {
    static const struct timespec pause = {.tv_nsec = 5000000};
    int fd;
    while ((fd = open_file(path, O_WRONLY)) < 0 && errno == ENXIO && is_pipe) {
        if (clv_cancel_is_set()) {
            errno = EINTR;
            break;
        }
        nanosleep(&pause, NULL);
    }
    return fd;
}

/* Writes to what is there already and no regular file: a device, a pipe. */
static clv_status *write_in_place(const char *path, bool is_pipe, const void *data, size_t bytes) {
    int fd = open_sink(path, is_pipe);
    if (fd < 0) {
        return io_error("write", path, errno);
    }
    int error = write_all(fd, data, bytes) ? 0 : errno;
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    return error != 0 ? io_error("write", path, error) : NULL;
}

/* Makes the file `temporary` with this content, or leaves no file; 0 or errno. */
static int write_new(const char *temporary, mode_t mode, const void *data, size_t bytes) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return errno;
    }
    int error = write_all(fd, data, bytes) ? 0 : errno;
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    if (error != 0) {
        unlink(temporary);
    }
    return error;
}

/* The path with symbolic links followed as far as it exists, so that replacing a link's target
 * keeps the link; NULL where there is no memory. */
static char *target_copy(const char *path) {
    char real[PATH_MAX];
    return clv_strdup(realpath(path, real) != NULL ? real : path);
}

static clv_status *replace_regular(const char *path, mode_t mode, const void *data, size_t bytes) {
    static _Atomic unsigned counter;
    char *target = target_copy(path), *temporary = NULL;
    size_t capacity = target != NULL ? strlen(target) + 48 : 0;
    if (target == NULL || (temporary = clv_alloc(capacity)) == NULL) {
        clv_free(target);
        return CLV_ERROR(NO_MEMORY, "out of host memory for writing '%s'", path);
    }
    int error;
    do { /* again where a killed process with our number left its file */
        snprintf(
            temporary, capacity, "%s.%ld-%u.tmp", target, (long)getpid(),
            atomic_fetch_add(&counter, 1));
        error = write_new(temporary, mode, data, bytes);
    } while (error == EEXIST);
    if (error == 0 && rename(temporary, target) != 0) {
        error = errno;
        unlink(temporary);
    }
    clv_free(temporary);
    clv_free(target);
    return error != 0 ? io_error("write", path, error) : NULL;
}

static clv_status *replace(const char *path, bool may_stream, const void *data, size_t bytes) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return replace_regular(path, 0666, data, bytes);
    }
    if (S_ISDIR(info.st_mode)) {
        return CLV_ERROR(IO, "cannot write '%s': it is a folder", path);
    }
    if (S_ISREG(info.st_mode)) {
        return replace_regular(path, info.st_mode & 0777, data, bytes);
    }
    return may_stream ? write_in_place(path, S_ISFIFO(info.st_mode), data, bytes)
                      : not_regular("write", path);
}

clv_status *clv_file_replace(const char *path, const void *data, size_t bytes) {
    return replace(path, true, data, bytes);
}

clv_status *clv_file_replace_regular(const char *path, const void *data, size_t bytes) {
    return replace(path, false, data, bytes);
}

clv_status *clv_file_append(const char *path, const void *data, size_t bytes) {
    int fd = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0) {
        return io_error("write", path, errno);
    }
    int error = write_all(fd, data, bytes) ? 0 : errno;
    if (close(fd) != 0 && error == 0) {
        error = errno;
    }
    return error != 0 ? io_error("write", path, error) : NULL;
}

clv_status *clv_file_lock(const char *path, int *out_lock) {
    enum { TRIES = 200 };
    static const struct timespec pause = {.tv_nsec = 5000000};
    *out_lock = open_file(path, O_RDWR | O_CREAT);
    if (*out_lock < 0) {
        return io_error("lock", path, errno);
    }
    int error = EWOULDBLOCK;
    for (int i = 0; i < TRIES && (error == EWOULDBLOCK || error == EINTR); i++) {
        if (i != 0) {
            nanosleep(&pause, NULL);
        }
        error = flock(*out_lock, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    }
    if (error != 0) {
        close(*out_lock);
        *out_lock = -1;
        return io_error("lock", path, error);
    }
    return NULL;
}

void clv_file_unlock(int lock) {
    if (lock >= 0) {
        close(lock); /* its lock goes with it */
    }
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

clv_status *clv_folder_create(const char *path) {
    char *part = clv_strdup(path);
    if (part == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for the path '%s'", path);
    }
    clv_status *status = NULL;
    size_t length = strlen(part);
    for (size_t i = length != 0; i <= length && status == NULL; i++) { /* past a leading slash */
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        char end = part[i];
        part[i] = '\0';
        if (mkdir(part, 0777) != 0) {
            int error = errno;
            if (!is_folder(part)) {
                status = io_error("make folder", part, error);
            }
        }
        part[i] = end;
    }
    clv_free(part);
    return status;
}

static char *join_path_copy(const char *folder, const char *name) {
    size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = clv_alloc(bytes);
    if (path != NULL) {
        snprintf(path, bytes, "%s/%s", folder, name);
    }
    return path;
}

char *clv_cache_folder_copy(void) {
    const char *own = clv_env_get(CLV_ENV_CACHE_DIR);
    if (own[0] != '\0') {
        return clv_strdup(own);
    }
    const char *cache = clv_env_system("XDG_CACHE_HOME");
    if (cache != NULL && cache[0] == '/') {
        return join_path_copy(cache, "cleave");
    }
    const char *home = clv_env_system("HOME");
    return home != NULL && home[0] == '/' ? join_path_copy(home, ".cache/cleave") : NULL;
}

char *clv_path_beside_copy(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    size_t bytes = strlen(name) + 1;
    char *result = clv_alloc(folder + bytes);
    if (result != NULL) {
        memcpy(result, path, folder);
        memcpy(result + folder, name, bytes);
    }
    return result;
}
