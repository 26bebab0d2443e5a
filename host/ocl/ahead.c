/* Building programs ahead, on all processors.
 *
 * PoCL compiles under one lock of the process. So where the process has no thread but the calling
 * one, a forked child is as good as itself: children and parent build in turn what is next, and
 * leave what they made in the cache folders (PoCL's, and that of cache.h), where the parent then
 * finds it. What a child did not get done, the parent does.
 */
#include "host/ocl/internal.h"

#include "host/base/cancel.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_CHILDREN = 31 };

/* What the processes share. */
typedef struct shared {
    atomic_size_t next, num_done;
} shared;

static bool has_other_threads(void) {
    DIR *folder = opendir("/proc/self/task");
    size_t count = 0;
    while (folder != NULL && readdir(folder) != NULL) {
        count++; /* with "." and ".." */
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count != 3;
}

static void build_next(
    shared *all, clv_ocl_build_function build, void *context, size_t count, bool tells) {
    while (!clv_cancel_is_set()) {
        const size_t i = atomic_fetch_add(&all->next, 1);
        if (i >= count) {
            return;
        }
        build(context, i);
        const size_t num_done = atomic_fetch_add(&all->num_done, 1) + 1;
        if (tells) {
            clv_progress("compiling kernels", (double)num_done, (double)count);
        }
    }
    atomic_store(&all->next, count); /* whoever was told to stop stops all */
}

void clv_ocl_build_ahead(clv_ocl_build_function build, void *context, size_t count) {
    pid_t children[MAX_CHILDREN];
    size_t num_children = (size_t)clv_num_processors() - 1, num_started = 0;
    num_children = num_children < count ? num_children : count - 1;
    num_children = num_children < MAX_CHILDREN ? num_children : MAX_CHILDREN;
    if (count < 2 || num_children == 0 || clv_ocl_is_watched() || has_other_threads()) {
        return;
    }
    shared *all =
        mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        return;
    }
    clv_progress("compiling kernels", 0, (double)count);
    while (num_started < num_children) {
        const pid_t parent = getpid(), child = fork();
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() == parent) {
                build_next(all, build, context, count, false);
            }
            _exit(0);
        }
        if (child < 0) {
            break; /* fewer do it too */
        }
        children[num_started++] = child;
    }
    if (num_started != 0) {
        build_next(all, build, context, count, true);
    }
    for (size_t i = 0; i < num_started; i++) {
        while (waitpid(children[i], NULL, 0) < 0 && errno == EINTR) {
        }
    }
    munmap(all, sizeof *all);
}
