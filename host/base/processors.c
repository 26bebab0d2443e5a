/* How many processors there are for us: the affinity mask, and the cgroup's quota of CPU time. */
#include "host/base/threads.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* A machine may have more than the 1024 processors of cpu_set_t. */
enum { MAX_PROCESSORS = 8192 };

typedef struct processor_set {
    unsigned long words[MAX_PROCESSORS / (8 * sizeof(unsigned long))];
} processor_set;

static bool read_affinity(processor_set *out_set) {
    memset(out_set, 0, sizeof *out_set);
    return sched_getaffinity(0, sizeof *out_set, (cpu_set_t *)(void *)out_set) == 0;
}

static bool has_processor(const processor_set *set, int processor) {
    size_t bits = 8 * sizeof set->words[0];
    return (set->words[(size_t)processor / bits] >> ((size_t)processor % bits)) & 1;
}

/* The first line of FOLDER/PATH/NAME; false where there is none. */
static bool read_line(
    const char *folder, const char *path, const char *name, char *out_line, int capacity) {
    char full[PATH_MAX];
    int length = snprintf(full, sizeof full, "%s%s/%s", folder, path, name);
    if (length < 0 || (size_t)length >= sizeof full) {
        return false;
    }
    FILE *file = fopen(full, "re");
    if (file == NULL) {
        return false;
    }
    bool got = fgets(out_line, capacity, file) != NULL;
    fclose(file);
    return got;
}

/* CPUs' worth of time that one cgroup folder allows; 0 where it sets no limit. */
static double folder_quota(const char *mount, const char *path, bool is_v2) {
    char line[128];
    double quota = 0, period = 0;
    if (is_v2) {
        if (!read_line(mount, path, "cpu.max", line, sizeof line) ||
            sscanf(line, "%lf %lf", &quota, &period) != 2) { /* "max 100000": no limit */
            return 0;
        }
    } else {
        if (!read_line(mount, path, "cpu.cfs_quota_us", line, sizeof line) ||
            sscanf(line, "%lf", &quota) != 1 ||
            !read_line(mount, path, "cpu.cfs_period_us", line, sizeof line) ||
            sscanf(line, "%lf", &period) != 1) {
            return 0;
        }
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double smaller_limit(double a, double b) {
    return a == 0 ? b : b == 0 ? a : fmin(a, b);
}

/* The tightest limit from `path` up to the mount. In a container the path may name folders that
 * only the host sees: those are skipped, and the mount itself is the container's own. */
static double chain_quota(const char *mount, const char *path, bool is_v2) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    double limit = 0;
    for (;;) {
        limit = smaller_limit(limit, folder_quota(mount, part, is_v2));
        char *slash = strrchr(part, '/');
        if (slash == NULL) {
            return limit;
        }
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup is "ID:CONTROLLERS:PATH"; v2 is "0::PATH". */
static double line_quota(const char *root, char *line) {
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) {
        return 0;
    }
    *path++ = '\0';
    controllers++;
    path[strcspn(path, "\n")] = '\0';
    char mount[PATH_MAX];
    if (controllers[0] == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return chain_quota(mount, path, true);
    }
    char *rest = NULL;
    char names[256];
    snprintf(names, sizeof names, "%s", controllers);
    for (char *name = strtok_r(names, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        if (strcmp(name, "cpu") == 0) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controllers);
            double limit = chain_quota(mount, path, false);
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
            return smaller_limit(limit, chain_quota(mount, path, false));
        }
    }
    return 0;
}

double clv_cpu_quota(const char *root) {
    char line[PATH_MAX];
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    if (file == NULL) {
        return 0;
    }
    double limit = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        limit = smaller_limit(limit, line_quota(root, line));
    }
    fclose(file);
    return limit;
}

int clv_num_processors(void) {
    processor_set set;
    int count = 0;
    if (read_affinity(&set)) {
        for (int i = 0; i < MAX_PROCESSORS; i++) {
            count += has_processor(&set, i);
        }
    }
    double quota = clv_cpu_quota("");
    if (quota > 0 && quota < count) {
        count = (int)ceil(quota);
    }
    return count > 0 ? count : 1;
}

int clv_processor_at(int index) {
    processor_set set;
    if (index < 0 || !read_affinity(&set)) {
        return -1;
    }
    for (int i = 0; i < MAX_PROCESSORS; i++) {
        if (has_processor(&set, i) && index-- == 0) {
            return i;
        }
    }
    return -1;
}
