/* What is set before the first OpenCL call of a process. */
#include "host/ocl/internal.h"

#include "host/base/env.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static clv_status *read_count(clv_env_id id, int fallback, int minimum, int maximum, int *out) {
    const char *word = clv_env_get(id);
    int64_t value = fallback;
    if (word[0] != '\0' && (!clv_parse_int64(word, &value) || value < minimum || value > maximum)) {
        return CLV_ERROR(
            USAGE, "%s is '%s', needed is a number from %d to %d", clv_env_find(id)->name, word,
            minimum, maximum);
    }
    *out = (int)value;
    return NULL;
}

static clv_status *prepare_devices(void) {
    enum { MOST_DEVICES = 1024 };
    int num_cores = 1, num_threaded = 0;
    CLV_TRY(read_count(CLV_ENV_CORES, clv_num_processors(), 1, MOST_DEVICES, &num_cores));
    CLV_TRY(read_count(CLV_ENV_POCL_THREADED, 0, 0, MOST_DEVICES, &num_threaded));
    if (clv_env_system("POCL_DEVICES") != NULL) {
        return NULL;
    }
    clv_text list;
    clv_text_init(&list);
    for (int i = 0; i < num_cores + num_threaded; i++) {
        clv_text_add(&list, "%s%s", i == 0 ? "" : " ", i < num_cores ? "basic" : "pthread");
    }
    char *words = NULL;
    CLV_TRY(clv_text_take(&list, &words));
    int failed = setenv("POCL_DEVICES", words, 0);
    clv_free(words);
    return failed != 0 ? CLV_ERROR(NO_MEMORY, "out of host memory for the environment") : NULL;
}

/* Whether files of some size can be written in `folder`, which is made where it is not there. */
static bool can_write(const char *folder) {
    enum { ENOUGH_BYTES = 1 << 20 }; /* a kernel in all of its stages takes a few 100 KiB */
    bool good = false;
    char *probe = NULL, *zeros = NULL;
    clv_status *status = clv_folder_create(folder);
    if (status == NULL) {
        size_t bytes = strlen(folder) + 48;
        probe = clv_alloc(bytes);
        zeros = clv_alloc_zeroed(1, ENOUGH_BYTES);
        if (probe != NULL && zeros != NULL) {
            snprintf(probe, bytes, "%s/.cleave-probe-%ld", folder, (long)getpid());
            status = clv_file_replace_regular(probe, zeros, ENOUGH_BYTES);
            good = status == NULL;
            unlink(probe);
        }
    }
    clv_free(probe);
    clv_free(zeros);
    clv_status_destroy(status);
    return good;
}

/* Where PoCL keeps what it compiles, unless POCL_CACHE_DIR says otherwise. */
static char *pocl_folder_copy(void) {
    const char *cache = clv_env_system("XDG_CACHE_HOME"), *home = clv_env_system("HOME");
    const char *root = cache != NULL && cache[0] != '\0' ? cache : home;
    if (root == NULL || root[0] == '\0') {
        root = "/tmp";
    }
    const char *below = root == home ? "/.cache/pocl/kcache" : "/pocl/kcache";
    size_t bytes = strlen(root) + strlen(below) + 1;
    char *folder = clv_alloc(bytes);
    if (folder != NULL) {
        snprintf(folder, bytes, "%s%s", root, below);
    }
    return folder;
}

/* A folder of this user alone, made with the given name; false where another has it. */
static bool own_folder(const char *folder) {
    struct stat info;
    if (mkdir(folder, 0700) != 0 && lstat(folder, &info) != 0) {
        return false;
    }
    return lstat(folder, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
           (info.st_mode & 077) == 0;
}

/* PoCL has no devices where it cannot make its cache folder, and builds nothing where that is full:
 * then it gets a folder in a temporary place. */
static clv_status *prepare_pocl_cache(void) {
    const char *given = clv_env_system("POCL_CACHE_DIR");
    if (given != NULL && given[0] == '\0') {
        unsetenv("POCL_CACHE_DIR"); /* PoCL would end the process */
    } else if (given != NULL) {
        if (!can_write(given)) {
            clv_log(
                CLV_LOG_WARNING,
                "POCL_CACHE_DIR '%s' cannot be written: PoCL has no devices then, or cannot build",
                given);
        }
        return NULL;
    }
    char *folder = pocl_folder_copy();
    if (folder == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a path");
    }
    if (!can_write(folder)) {
        const char *temporary = clv_env_system("TMPDIR");
        const char *const roots[] = {temporary, "/tmp", "/dev/shm"};
        for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
            char other[512];
            if (roots[i] == NULL || roots[i][0] != '/') {
                continue;
            }
            snprintf(other, sizeof other, "%s/cleave-pocl-%ld", roots[i], (long)geteuid());
            if (own_folder(other) && can_write(other)) {
                clv_log(CLV_LOG_DEBUG, "'%s' cannot be written: PoCL uses '%s'", folder, other);
                setenv("POCL_CACHE_DIR", other, 1);
                break;
            }
        }
    }
    clv_free(folder);
    return NULL;
}

bool clv_ocl_finds_program(const char *name) {
    const char *at = clv_env_system("PATH");
    while (at != NULL && *at != '\0') {
        char path[1024];
        size_t length = strcspn(at, ":");
        int written = snprintf(path, sizeof path, "%.*s/%s", (int)length, at, name);
        if (written > 0 && (size_t)written < sizeof path && access(path, X_OK) == 0) {
            return true;
        }
        at += length + (at[length] == ':' ? 1 : 0);
    }
    return false;
}

bool clv_ocl_is_generic(void) {
    const char *word = clv_env_system("POCL_WORK_GROUP_SPECIALIZATION");
    return word != NULL && strcmp(word, "0") == 0;
}

clv_status *clv_ocl_prepare_environment(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 0); /* PoCL looks for a linker there */
    /* Else each kernel would be compiled twice: for its launches, and for the binary. Local sizes
     * are known to kernels all the same (clv.h, CLV_ITEM). */
    setenv("POCL_WORK_GROUP_SPECIALIZATION", "0", 0);
    clv_status *status = prepare_devices();
    if (status == NULL) {
        status = prepare_pocl_cache();
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* Of the first processor's lines, those that say what it is and can do. */
static clv_hash processor_hash(void) {
    clv_hash hash = clv_hash_string("processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) {
        return hash;
    }
    char line[4096]; /* longer lines come in pieces, which is as good */
    bool wanted = false, begins = true;
    while (fgets(line, sizeof line, file) != NULL && line[0] != '\n') {
        static const char *const keys[] = {"model name", "flags", "Features", "CPU part", "isa"};
        for (size_t i = 0; begins && i < sizeof keys / sizeof keys[0]; i++) {
            wanted = strncmp(line, keys[i], strlen(keys[i])) == 0;
            if (wanted) {
                break;
            }
        }
        if (wanted) {
            hash = clv_hash_combine(hash, clv_hash_string(line));
        }
        begins = strchr(line, '\n') != NULL;
    }
    fclose(file);
    return hash;
}

clv_hash clv_ocl_environment_hash(void) {
    /* These choose devices, folders and messages, not code. */
    static const char *const harmless[] = {"POCL_DEVICES=", "POCL_CACHE_DIR=", "POCL_DEBUG"};
    clv_hash hash = processor_hash();
    uint64_t sum = 0; /* of variables in any order */
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        bool counts = strncmp(*entry, "POCL_", 5) == 0;
        for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
            counts = counts && strncmp(*entry, harmless[i], strlen(harmless[i])) != 0;
        }
        if (counts) {
            sum += clv_hash_string(*entry).low;
        }
    }
    return clv_hash_combine(hash, clv_hash_bytes(&sum, sizeof sum));
}
