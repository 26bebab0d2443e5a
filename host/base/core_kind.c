#include "host/base/core_kind.h"

#include "host/base/hash.h"
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NUM_CACHES = 4, WORD = 32 };

/* What is known of a processor: without holes, so that it can be compared and hashed as it is. */
typedef struct looks {
    char capacity[WORD], caches[NUM_CACHES][WORD];
    long frequency; /* kHz at first, then tenths of the highest */
} looks;

/* The first word of a file of a processor; "" where there is none. */
static void read_word(const char *root, int processor, const char *name, char *out_word) {
    char path[PATH_MAX], line[WORD] = "";
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/%s", root, processor, name);
    FILE *file = fopen(path, "re");
    memset(out_word, 0, WORD);
    if (file != NULL) {
        if (fgets(line, sizeof line, file) != NULL) {
            memcpy(out_word, line, strcspn(line, " \n"));
        }
        fclose(file);
    }
}

static looks look_at(const char *root, int processor) {
    looks l;
    char word[WORD];
    memset(&l, 0, sizeof l);
    read_word(root, processor, "cpu_capacity", l.capacity);
    read_word(root, processor, "cpufreq/cpuinfo_max_freq", word);
    sscanf(word, "%ld", &l.frequency);
    for (int i = 0; i < NUM_CACHES; i++) {
        char name[WORD];
        snprintf(name, sizeof name, "cache/index%d/size", i);
        read_word(root, processor, name, l.caches[i]);
    }
    return l;
}

static bool is_there(const char *root, int processor) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology", root, processor);
    return access(path, F_OK) == 0; /* of those that are on */
}

void clv_core_kinds_read(const char *root, uint64_t *kinds) {
    static looks all[CLV_KNOWN_CORES]; /* more than a stack should hold */
    long highest = 0;
    int first = -1;
    bool differ = false;
    memset(all, 0, sizeof all);
    memset(kinds, 0, CLV_KNOWN_CORES * sizeof *kinds);
    for (int i = 0; i < CLV_KNOWN_CORES; i++) {
        if (is_there(root, i)) {
            all[i] = look_at(root, i);
            kinds[i] = 1;
            highest = all[i].frequency > highest ? all[i].frequency : highest;
        }
    }
    for (int i = 0; i < CLV_KNOWN_CORES; i++) {
        if (kinds[i] != 0) {
            all[i].frequency = highest > 0 ? (all[i].frequency * 10 + highest / 2) / highest : 0;
            first = first < 0 ? i : first;
            differ = differ || memcmp(&all[i], &all[first], sizeof all[i]) != 0;
        }
    }
    for (int i = 0; i < CLV_KNOWN_CORES; i++) {
        kinds[i] = kinds[i] != 0 && differ ? clv_hash_bytes(&all[i], sizeof all[i]).low : 0;
    }
}

static uint64_t own_kinds[CLV_KNOWN_CORES];

static void read_own(void) {
    clv_core_kinds_read("", own_kinds);
}

uint64_t clv_core_kind(int processor) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_own);
    return processor >= 0 && processor < CLV_KNOWN_CORES ? own_kinds[processor] : 0;
}
