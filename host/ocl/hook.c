#include "host/ocl/hook.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic(clv_ocl_hook) the_hook;
static void *the_context;

static const char *const names[CLV_OCL_NUM_CALLS] = {
#define CALL(function) [CLV_OCL_##function] = #function,
#include "host/ocl/calls.def"
#undef CALL
};

void clv_ocl_set_hook(clv_ocl_hook hook, void *context) {
    atomic_store(&the_hook, NULL);
    the_context = context;
    atomic_store(&the_hook, hook);
}

const char *clv_ocl_call_name(clv_ocl_call call) {
    return (unsigned)call < CLV_OCL_NUM_CALLS ? names[call] : "?";
}

clv_ocl_call clv_ocl_call_find(const char *name) {
    for (int i = 0; i < CLV_OCL_NUM_CALLS; i++) {
        if (strcmp(names[i], name) == 0) {
            return (clv_ocl_call)i;
        }
    }
    return CLV_OCL_NUM_CALLS;
}

bool clv_ocl_is_watched(void) {
    return atomic_load_explicit(&the_hook, memory_order_acquire) != NULL;
}

int clv_ocl_enter(clv_ocl_call call) {
    clv_ocl_hook hook = atomic_load_explicit(&the_hook, memory_order_acquire);
    return hook == NULL ? 0 : hook(the_context, call);
}
