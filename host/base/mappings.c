#include "host/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

typedef struct mapping {
    uint64_t begin, end;
    bool is_candidate; /* of a file, private, never writable */
} mapping;

/* The first line of a mapping in /proc/PID/smaps: "begin-end r-xp offset device inode path"; false:
 * another line. Files of data are left alone. */
static bool read_head(const char *line, mapping *out) {
    char flags[8];
    uint64_t begin, end, inode;
    if (sscanf(
            line, "%" SCNx64 "-%" SCNx64 " %7s %*x %*x:%*x %" SCNu64, &begin, &end, flags,
            &inode) != 4) {
        return false;
    }
    const bool is_candidate = inode != 0 && strcmp(flags, "r-xp") == 0;
    *out = (mapping){.begin = begin, .end = end, .is_candidate = is_candidate};
    return true;
}

size_t clv_memory_drop_code(size_t least_bytes) {
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512], buffer[1 << 14];
    mapping at = {.is_candidate = false};
    size_t dropped = 0;
    if (file != NULL) {
        (void)setvbuf(file, buffer, _IOFBF, sizeof buffer); /* its own is of 1 KiB here */
    }
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t kilobytes;
        if (read_head(line, &at) || !at.is_candidate || at.end - at.begin < least_bytes) {
            continue;
        }
        /* pages that are not the file's any more (a debugger's breakpoints) would be lost */
        if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kilobytes) == 1 && kilobytes == 0 &&
            madvise((void *)(uintptr_t)at.begin, (size_t)(at.end - at.begin), MADV_DONTNEED) == 0) {
            dropped += (size_t)(at.end - at.begin);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return dropped;
}
