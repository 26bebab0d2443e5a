#include "tests/support/kernel_runner.h"

#include "host/base/memory.h"
#include "host/base/random.h"
#include "host/ir/layout.h"
#include "kernels_cl/clv.h"
#include "tests/support/kernel_device.h"
#include <string.h>

enum {
    MAX_LAUNCHES = 64,
    MAX_OPERANDS = 64,
    MAX_PIECES = 3,
    GUARD_BYTES = 256,
    GUARD = 0xa5,
    /* what is there before it is written; results must not depend on it. A NaN in every float type,
     * and with seeds that are even a number: what is never written differs from run to run */
    UNDEFINED = 0xff,
    UNDEFINED_TOO = 0x7e,
    /* bytes that a variant may keep besides its operands: so many times theirs, and so many more */
    MAX_PRIVATE_FACTOR = 64,
    MAX_PRIVATE_EXTRA = 64 << 20,
};

/* One buffer: guard bytes, the operand, guard bytes. */
typedef struct operand {
    clv_arg arg;
    char what[32];
    size_t bytes, buffer_bytes;
    uint64_t offset;
    cl_mem buffer;
    unsigned char *host; /* what the buffer held at first */
} operand;

typedef struct session {
    clv_test_device *device;
    clv_test_run *run;
    clv_random random;
    clv_launch launches[MAX_LAUNCHES];
    size_t num_launches;
    operand operands[MAX_OPERANDS];
    size_t num_operands;
    uint32_t num_scratch, num_constants;
    clv_call shown; /* the call as emit() sees it */
    clv_view shown_inputs[MAX_OPERANDS], shown_outputs[MAX_OPERANDS];
} session;

static clv_status *add_operand(
    session *s, clv_arg arg, const char *what, size_t bytes, size_t element_bytes,
    const void *content, operand **out_operand) {
    if (s->num_operands == MAX_OPERANDS) {
        return CLV_ERROR(INTERNAL, "more than %d operands in a call", MAX_OPERANDS);
    }
    operand *o = &s->operands[s->num_operands++];
    o->arg = arg;
    strncpy(o->what, what, sizeof o->what - 1);
    o->bytes = bytes;
    o->offset = GUARD_BYTES + 64 * clv_random_below(&s->random, 3);
    if (arg.kind == CLV_ARG_INPUT && clv_random_below(&s->random, 2) == 0) {
        o->offset += element_bytes * clv_random_below(&s->random, 16); /* as in a view */
    }
    o->buffer_bytes = (size_t)o->offset + bytes + (s->device->checks_bounds ? 0 : GUARD_BYTES);
    o->host = clv_alloc(o->buffer_bytes);
    if (o->host == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for an operand of %zu bytes", bytes);
    }
    memset(o->host, GUARD, o->buffer_bytes);
    memset(o->host + o->offset, s->run->seed % 2 != 0 ? UNDEFINED : UNDEFINED_TOO, bytes);
    if (content != NULL && bytes > 0) {
        memcpy(o->host + o->offset, content, bytes);
    }
    if (out_operand != NULL) {
        *out_operand = o;
    }
    return NULL;
}

static clv_status *take_launch(void *context, const clv_launch *launch) {
    session *s = context;
    if (launch->num_items == 0) {
        return NULL;
    }
    if (s->num_launches == MAX_LAUNCHES) {
        return CLV_ERROR(INTERNAL, "more than %d launches in a call", MAX_LAUNCHES);
    }
    if (launch->num_items > INT32_MAX || launch->params_bytes > CLV_MAX_PARAMS ||
        launch->num_args > CLV_MAX_ARGS || launch->local_size == 0) {
        return CLV_ERROR(
            INTERNAL, "launch of '%s' breaks a limit: %llu items, %u bytes of params, %u args",
            launch->entry, (unsigned long long)launch->num_items, launch->params_bytes,
            launch->num_args);
    }
    void *params = clv_alloc(launch->params_bytes + 1);
    if (params == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for params");
    }
    memcpy(params, launch->params, launch->params_bytes);
    clv_launch *copy = &s->launches[s->num_launches++];
    *copy = *launch;
    copy->params = params;
    /* emit() may have made them on its stack */
    copy->entry = clv_strdup(launch->entry);
    copy->options = launch->options != NULL ? clv_strdup(launch->options) : NULL;
    return copy->entry != NULL && (launch->options == NULL || copy->options != NULL)
               ? NULL
               : CLV_ERROR(NO_MEMORY, "out of host memory for a name");
}

/* What a variant keeps or needs besides its operands stays within a multiple of them: attributes of
 * a few bytes must not ask for gigabytes. */
static clv_status *check_size(const session *s, const char *what, size_t bytes) {
    const clv_call *call = s->run->call;
    size_t operands = 0;
    for (uint32_t i = 0; i < call->num_inputs; i++) {
        operands += clv_view_bytes(call->inputs[i].dtype, &call->inputs[i].shape);
    }
    for (uint32_t i = 0; i < call->num_outputs; i++) {
        operands += clv_view_bytes(call->outputs[i].dtype, &call->outputs[i].shape);
    }
    const size_t most = MAX_PRIVATE_FACTOR * operands + MAX_PRIVATE_EXTRA;
    return bytes <= most ? NULL
                         : CLV_ERROR(
                               INTERNAL, "%s of %zu bytes, inputs and outputs have %zu", what,
                               bytes, operands);
}

static clv_status *take_scratch(void *context, size_t bytes, uint32_t *out_index) {
    session *s = context;
    CLV_TRY(check_size(s, "scratch", bytes));
    *out_index = s->num_scratch++;
    return add_operand(s, (clv_arg){CLV_ARG_SCRATCH, *out_index}, "scratch", bytes, 64, NULL, NULL);
}

static clv_status *take_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    session *s = context;
    CLV_TRY(check_size(s, "constant", packing->bytes));
    *out_index = s->num_constants++;
    operand *o = NULL;
    CLV_TRY(add_operand(
        s, (clv_arg){CLV_ARG_CONSTANT, *out_index}, "constant", packing->bytes, 64, NULL, &o));
    clv_packing_fill(packing, &s->shown, 0, packing->num_parts, o->host + o->offset);
    if (!s->device->checks_bounds && o->host[o->offset + o->bytes] != GUARD) {
        return CLV_ERROR(INTERNAL, "packing writes beyond its %zu bytes", packing->bytes);
    }
    return NULL;
}

/* The call as emit() is to see it: only constants have data. */
static void show_call(
    const clv_call *call, uint32_t constants, clv_view *inputs, clv_view *outputs,
    clv_call *out_shown) {
    memcpy(inputs, call->inputs, call->num_inputs * sizeof *call->inputs);
    memcpy(outputs, call->outputs, call->num_outputs * sizeof *call->outputs);
    for (uint32_t i = 0; i < call->num_inputs; i++) {
        inputs[i].layout = (clv_layout){0};
        if (i >= 32 || (constants >> i & 1) == 0) {
            inputs[i].data = NULL;
        }
    }
    for (uint32_t i = 0; i < call->num_outputs; i++) {
        outputs[i].layout = (clv_layout){0};
    }
    *out_shown = *call;
    out_shown->inputs = inputs;
    out_shown->outputs = outputs;
}

bool clv_test_variant_fits(
    const clv_call *call, uint32_t constants, const clv_variant *variant,
    const clv_traits *traits) {
    clv_view inputs[MAX_OPERANDS], outputs[MAX_OPERANDS];
    clv_call shown;
    if (variant->fits == NULL || call->num_inputs + call->num_outputs + 2 > MAX_OPERANDS) {
        return true;
    }
    show_call(call, constants, inputs, outputs, &shown);
    return variant->fits(&shown, traits);
}

/* The layouts that the variant wants, with gaps that may be larger. */
static void choose_layouts(session *s) {
    clv_layout inputs[MAX_OPERANDS] = {{0}}, outputs[MAX_OPERANDS] = {{0}};
    if (s->run->variant->layouts == NULL) {
        return;
    }
    s->run->variant->layouts(&s->shown, &s->run->traits, inputs, outputs);
    for (size_t i = 0; i < s->shown.num_inputs; i++) {
        const clv_variant *variant = s->run->variant;
        if (clv_layout_is_blocked(&inputs[i]) && variant->takes_plain != NULL &&
            variant->takes_plain(&s->shown, &s->run->traits, i) &&
            clv_random_below(&s->random, 2) == 0) {
            inputs[i] = (clv_layout){0};
        }
        if (clv_layout_is_blocked(&inputs[i])) {
            inputs[i].gap_y += (uint8_t)clv_random_below(&s->random, 2);
            inputs[i].gap_x += (uint8_t)clv_random_below(&s->random, 2);
        }
        s->shown_inputs[i].layout = inputs[i];
    }
    for (size_t i = 0; i < s->shown.num_outputs; i++) {
        if (clv_layout_is_blocked(&outputs[i])) {
            outputs[i].gap_y = (uint8_t)clv_random_below(&s->random, 3);
            outputs[i].gap_x = (uint8_t)clv_random_below(&s->random, 3);
        }
        s->shown_outputs[i].layout = outputs[i];
    }
}

static clv_status *add_input(session *s, uint32_t index) {
    const clv_view *view = &s->shown_inputs[index];
    const void *content = s->run->call->inputs[index].data;
    const clv_arg arg = {CLV_ARG_INPUT, index};
    size_t bytes = clv_layout_bytes(view->dtype, &view->shape, &view->layout);
    size_t element_bytes = clv_dtype_bytes(view->dtype);
    if (!clv_layout_is_blocked(&view->layout)) {
        return add_operand(s, arg, "input", bytes, element_bytes, content, NULL);
    }
    void *blocked = clv_alloc(bytes);
    if (blocked == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for an operand of %zu bytes", bytes);
    }
    memset(blocked, UNDEFINED, bytes); /* the slack stays so */
    clv_layout_pack(&view->shape, &view->layout, content, blocked);
    clv_status *status = add_operand(s, arg, "input", bytes, element_bytes, blocked, NULL);
    clv_free(blocked);
    return status;
}

static clv_status *add_call_operands(session *s) {
    const clv_call *call = s->run->call;
    if (call->num_inputs + call->num_outputs + 2 > MAX_OPERANDS) {
        return CLV_ERROR(INTERNAL, "the runner has room for %d operands", MAX_OPERANDS);
    }
    show_call(call, s->run->constants, s->shown_inputs, s->shown_outputs, &s->shown);
    choose_layouts(s);
    for (uint32_t i = 0; i < call->num_inputs; i++) {
        if (call->inputs[i].dtype != CLV_DTYPE_NONE) {
            CLV_TRY(add_input(s, i));
        }
    }
    for (uint32_t i = 0; i < call->num_outputs; i++) {
        const clv_view *view = &s->shown_outputs[i];
        if (view->dtype != CLV_DTYPE_NONE) {
            CLV_TRY(add_operand(
                s, (clv_arg){CLV_ARG_OUTPUT, i}, "output",
                clv_layout_bytes(view->dtype, &view->shape, &view->layout), 64, NULL, NULL));
        }
    }
    uint32_t no_error = 0;
    CLV_TRY(add_operand(
        s, (clv_arg){CLV_ARG_ERROR, 0}, "error word", sizeof no_error, 4, &no_error, NULL));
    /* what an argument that is not there points to: the kernel must not use it */
    return add_operand(s, (clv_arg){CLV_ARG_NONE, 0}, "absent operand", 0, 64, NULL, NULL);
}

static clv_status *emit(session *s) {
    const clv_variant *variant = s->run->variant;
    const clv_way way = {.variant = variant, .setting = s->run->setting};
    int32_t tunables[CLV_MAX_TUNABLES];
    clv_way_tunables(&way, tunables);
    clv_emitter emitter = {s, take_launch, take_scratch, take_constant};
    return clv_variant_emit(variant, &s->shown, &s->run->traits, tunables, &emitter);
}

static operand *find_operand(session *s, clv_arg arg) {
    for (size_t i = 0; i < s->num_operands; i++) {
        operand *o = &s->operands[i];
        if (o->arg.kind == arg.kind &&
            (o->arg.index == arg.index || arg.kind == CLV_ARG_NONE || arg.kind == CLV_ARG_ERROR)) {
            return o;
        }
    }
    return NULL;
}

static clv_status *upload(session *s) {
    for (size_t i = 0; i < s->num_operands; i++) {
        operand *o = &s->operands[i];
        cl_int error = CL_SUCCESS;
        o->buffer = clCreateBuffer(
            s->device->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, o->buffer_bytes, o->host,
            &error);
        CLV_TRY_CL(error);
    }
    return NULL;
}

/* Cuts [0, num_items) at random into at most MAX_PIECES ranges and shuffles them. */
static size_t cut_items(session *s, uint64_t num_items, clv_range ranges[MAX_PIECES]) {
    size_t num = 1 + clv_random_below(&s->random, MAX_PIECES);
    uint64_t bounds[MAX_PIECES + 1] = {0};
    for (size_t i = 1; i < num; i++) {
        bounds[i] = clv_random_below(&s->random, num_items + 1);
    }
    bounds[num] = num_items;
    if (num == 3 && bounds[1] > bounds[2]) {
        uint64_t swap = bounds[1];
        bounds[1] = bounds[2];
        bounds[2] = swap;
    }
    for (size_t i = 0; i < num; i++) {
        ranges[i].first = bounds[i];
        ranges[i].end = bounds[i + 1];
    }
    for (size_t i = num - 1; i > 0; i--) {
        size_t j = clv_random_below(&s->random, i + 1);
        clv_range swap = ranges[i];
        ranges[i] = ranges[j];
        ranges[j] = swap;
    }
    return num;
}

static clv_status *set_args(
    session *s, const clv_launch *launch, cl_kernel kernel, clv_range *out_range) {
    for (uint32_t i = 0; i < launch->num_args; i++) {
        operand *o = find_operand(s, launch->args[i]);
        if (o == NULL) {
            return CLV_ERROR(
                INTERNAL, "argument %u of '%s' is kind %d index %u, which the call does not have",
                i, launch->entry, launch->args[i].kind, launch->args[i].index);
        }
        CLV_TRY_CL(clSetKernelArg(kernel, i, sizeof o->buffer, &o->buffer));
        out_range->offset[i] = o->offset;
    }
    CLV_TRY_CL(clSetKernelArg(kernel, launch->num_args, launch->params_bytes, launch->params));
    return NULL;
}

static clv_status *enqueue(session *s, const clv_launch *launch, cl_kernel kernel) {
    clv_range common = {0}, ranges[MAX_PIECES] = {0};
    CLV_TRY(set_args(s, launch, kernel, &common));
    size_t num = cut_items(s, launch->num_items, ranges);
    for (size_t i = 0; i < num; i++) {
        if (ranges[i].first == ranges[i].end) {
            continue;
        }
        clv_range range = common;
        range.first = ranges[i].first;
        range.end = ranges[i].end;
        CLV_TRY_CL(clSetKernelArg(kernel, launch->num_args + 1, sizeof range, &range));
        size_t local = launch->local_size;
        size_t global = (size_t)(range.end - range.first + local - 1) / local * local;
        CLV_TRY_CL(clEnqueueNDRangeKernel(
            s->device->queue, kernel, 1, NULL, &global, &local, 0, NULL, NULL));
    }
    return NULL;
}

/* An output as it came from the device. What stands around and between the elements of a blocked
 * one must be zero. */
static clv_status *take_output(session *s, const operand *o, const unsigned char *bytes) {
    const clv_view *view = &s->shown_outputs[o->arg.index];
    void *plain = s->run->outputs[o->arg.index].data;
    clv_layout_extents e;
    if (!clv_layout_is_blocked(&view->layout)) {
        memcpy(plain, bytes, o->bytes);
        return NULL;
    }
    clv_layout_unpack(&view->shape, &view->layout, bytes, plain);
    clv_layout_extents_of(&view->shape, &view->layout, &e);
    float *want = clv_alloc(o->bytes);
    if (want == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for an operand of %zu bytes", o->bytes);
    }
    clv_layout_pack(&view->shape, &view->layout, plain, want);
    clv_status *status = NULL;
    for (int64_t i = 0; i < e.total && status == NULL; i++) {
        float got;
        memcpy(&got, bytes + (size_t)i * sizeof got, sizeof got);
        if (want[i] == 0 && !(got == 0)) {
            status = CLV_ERROR(
                INTERNAL,
                "variant '%s' left %g at element %lld of a blocked output (gaps %d, %d), "
                "which must be 0",
                s->run->variant->name, (double)got, (long long)i, view->layout.gap_y,
                view->layout.gap_x);
        }
    }
    clv_free(want);
    return status;
}

/* Reads an operand back: nothing outside it may have changed, nor an input or a constant. */
static clv_status *check_operand(session *s, const operand *o, unsigned char *now) {
    CLV_TRY_CL(clEnqueueReadBuffer(
        s->device->queue, o->buffer, CL_TRUE, 0, o->buffer_bytes, now, 0, NULL, NULL));
    bool is_written = o->arg.kind == CLV_ARG_OUTPUT || o->arg.kind == CLV_ARG_SCRATCH ||
                      o->arg.kind == CLV_ARG_ERROR;
    for (size_t i = 0; i < o->buffer_bytes; i++) {
        bool inside = i >= o->offset && i < o->offset + o->bytes;
        if (now[i] != o->host[i] && !(inside && is_written)) {
            return CLV_ERROR(
                INTERNAL, "variant '%s' changed byte %lld of %s %u, which has %zu bytes",
                s->run->variant->name, (long long)i - (long long)o->offset, o->what, o->arg.index,
                o->bytes);
        }
    }
    if (o->arg.kind == CLV_ARG_OUTPUT && o->bytes > 0) {
        CLV_TRY(take_output(s, o, now + o->offset));
    }
    if (o->arg.kind == CLV_ARG_ERROR) {
        uint32_t word = 0;
        memcpy(&word, now + o->offset, sizeof word);
        if (word != CLV_KERNEL_ERROR_NONE) {
            return CLV_ERROR(MALFORMED, "%s", clv_kernel_error_meaning(word));
        }
    }
    return NULL;
}

static clv_status *check_operands(session *s) {
    clv_status *status = NULL;
    for (size_t i = 0; i < s->num_operands; i++) {
        unsigned char *now = clv_alloc(s->operands[i].buffer_bytes);
        if (now == NULL) {
            return clv_status_join(status, CLV_ERROR(NO_MEMORY, "out of host memory"));
        }
        status = clv_status_join(status, check_operand(s, &s->operands[i], now));
        clv_free(now);
    }
    return status;
}

static clv_status *run_launches(session *s) {
    for (size_t i = 0; i < s->num_launches; i++) {
        cl_kernel kernel = NULL;
        CLV_TRY(clv_test_kernel_create(s->device, &s->launches[i], &kernel));
        clv_status *status = enqueue(s, &s->launches[i], kernel);
        clReleaseKernel(kernel);
        CLV_TRY(status);
    }
    CLV_TRY_CL(clFinish(s->device->queue));
    return NULL;
}

clv_status *clv_test_kernels_run(clv_test_device *device, clv_test_run *run) {
    clv_status *status = NULL;
    session *s = clv_alloc_zeroed(1, sizeof *s);
    if (s == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a kernel run");
    }
    s->device = device;
    s->run = run;
    clv_random_init(&s->random, run->seed);
    CLV_TRY_DONE(add_call_operands(s));
    CLV_TRY_DONE(emit(s));
    CLV_TRY_DONE(upload(s));
    CLV_TRY_DONE(run_launches(s));
    run->num_launches = s->num_launches;
    CLV_TRY_DONE(check_operands(s));
done:
    for (size_t i = 0; i < s->num_launches; i++) {
        clv_free((void *)s->launches[i].params);
        clv_free((void *)s->launches[i].entry);
        clv_free((void *)s->launches[i].options);
    }
    for (size_t i = 0; i < s->num_operands; i++) {
        if (s->operands[i].buffer != NULL) {
            clReleaseMemObject(s->operands[i].buffer);
        }
        clv_free(s->operands[i].host);
    }
    clv_free(s);
    return status;
}
