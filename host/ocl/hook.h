/* Every OpenCL call goes through one place, where tests can watch it or make it fail. */
#ifndef CLV_OCL_HOOK_H
#define CLV_OCL_HOOK_H

#include <stdbool.h>

typedef enum clv_ocl_call {
#define CALL(function) CLV_OCL_##function,
#include "host/ocl/calls.def"
#undef CALL
    CLV_OCL_NUM_CALLS
} clv_ocl_call;

/* Asked before each call, from any thread: 0 lets it happen, anything else is returned as its
 * OpenCL error instead (release functions are called all the same). NULL: none. Set it while no
 * other thread is inside cleave. For tests. */
typedef int (*clv_ocl_hook)(void *context, clv_ocl_call call);
void clv_ocl_set_hook(clv_ocl_hook hook, void *context);

const char *clv_ocl_call_name(clv_ocl_call call); /* "clFinish" */
/* CLV_OCL_NUM_CALLS where there is no such function. */
clv_ocl_call clv_ocl_call_find(const char *name);

/* Whether there is one. */
bool clv_ocl_is_watched(void);
/* What the hook says; 0 without one. */
int clv_ocl_enter(clv_ocl_call call);

#endif
