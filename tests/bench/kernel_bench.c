/* Kernels alone: one operator at a real shape on one core, through the device interface, every
 * variant that fits in turn.
 *
 *     kernel_bench [ROUNDS]                           the shapes below; 21 rounds
 *     kernel_bench ROUNDS OP 'INPUTS' ['ATTRS']       one call, written as in tests/conformance
 *                                                     ("Conv" "f32[1,64,56,56] f32[64,64,3,3]"
 *                                                     "pads=[1,1,1,1]"); all inputs but the first
 *                                                     are constants
 *
 * Printed are medians: wall time, processor time of the thread (which says the same where the
 * machine is busy), that time again with no operand in the caches (as weights in a network are),
 * GFLOP/s and GB/s by processor time, and their shares of what this core does in a loop of
 * multiply-adds and in reading memory larger than its caches.
 */
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/ir/layout.h"
#include "kernels_cl/clv.h"
#include "tests/conformance/case.h"
#include "tests/exec/rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_ROUNDS = 1000,
    MAX_VARIANTS = 16,
    MAX_BUFFERS = 64,
    MAX_KERNELS = 256,
    MAX_OPERANDS = 16,
};

static const clv_case shapes[] = {
    {"Conv", "f32[1,3,224,224] f32[64,3,7,7] f32[64]", "strides=[2,2] pads=[3,3,3,3]"},
    {"Conv", "f32[1,64,56,56] f32[64,64,3,3] f32[64]", "pads=[1,1,1,1]"},
    {"Conv", "f32[1,128,28,28] f32[128,128,3,3] f32[128]", "pads=[1,1,1,1]"},
    {"Conv", "f32[1,512,7,7] f32[512,512,3,3] f32[512]", "pads=[1,1,1,1]"},
    {"Conv", "f32[1,256,56,56] f32[64,256,1,1] f32[64]"},
    {"Conv", "f32[1,512,28,28] f32[1024,512,1,1] f32[1024]", "strides=[2,2]"},
    {"Conv", "f32[1,144,56,56] f32[144,1,3,3] f32[144]", "pads=[1,1,1,1] group=144"},
    {"MatMul", "f32[128,384] f32[384,1536]"},
    {"MatMul", "f32[128,1536] f32[1536,384]"},
    {"MatMul", "f32[512,768] f32[768,768]"},
    {"MatMul", "f32[12,128,32] f32[12,32,128]"},
    {"Gemm", "f32[1,2048] f32[1000,2048] f32[1000]", "transB=1"},
};

/* One variant's launches, ready. */
typedef struct prepared {
    const clv_device_vtable *v;
    clv_device *device;
    const clv_case_data *data;
    clv_call call;
    clv_view inputs[MAX_OPERANDS], outputs[MAX_OPERANDS];
    clv_buffer *in[MAX_OPERANDS], *out[MAX_OPERANDS];
    clv_buffer *scratch[MAX_BUFFERS], *constants[MAX_BUFFERS];
    uint32_t num_scratch, num_constants;
    clv_program *programs[MAX_KERNELS];
    clv_kernel *kernels[MAX_KERNELS];
    uint64_t items[MAX_KERNELS];
    uint32_t local[MAX_KERNELS];
    size_t num_kernels;
    double wall_us[MAX_ROUNDS], thread_us[MAX_ROUNDS], cold_us[MAX_ROUNDS];
} prepared;

/* --- preparing ------------------------------------------------------------------------------- */

static clv_status *on_scratch(void *context, size_t bytes, uint32_t *out_index) {
    prepared *p = context;
    if (p->num_scratch == MAX_BUFFERS) {
        return CLV_ERROR(INTERNAL, "more than %d pieces of scratch memory", MAX_BUFFERS);
    }
    *out_index = p->num_scratch;
    return p->v->buffer_create(p->device, bytes, &p->scratch[p->num_scratch++]);
}

static clv_status *on_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    prepared *p = context;
    if (p->num_constants == MAX_BUFFERS) {
        return CLV_ERROR(INTERNAL, "more than %d packed constants", MAX_BUFFERS);
    }
    *out_index = p->num_constants;
    clv_buffer **buffer = &p->constants[p->num_constants++];
    CLV_TRY(p->v->buffer_create(p->device, packing->bytes, buffer));
    clv_packing_fill(packing, &p->call, 0, packing->num_parts, p->v->buffer_host(*buffer));
    return NULL;
}

static clv_buffer *buffer_of(const prepared *p, const clv_arg *arg) {
    switch (arg->kind) {
    case CLV_ARG_INPUT:
        return p->in[arg->index];
    case CLV_ARG_OUTPUT:
        return p->out[arg->index];
    case CLV_ARG_SCRATCH:
        return p->scratch[arg->index];
    case CLV_ARG_CONSTANT:
        return p->constants[arg->index];
    default:
        return p->in[0];
    }
}

/* Launches of more groups than the device takes are several. */
static clv_status *add_kernel(
    prepared *p, clv_program *program, const clv_launch *launch, uint64_t first, uint64_t end) {
    const clv_range range = {.first = first, .end = end};
    if (p->num_kernels == MAX_KERNELS) {
        return CLV_ERROR(INTERNAL, "more than %d launches", MAX_KERNELS);
    }
    clv_kernel **kernel = &p->kernels[p->num_kernels];
    CLV_TRY(p->v->kernel_create(program, launch->entry, kernel));
    p->local[p->num_kernels] = launch->local_size;
    p->items[p->num_kernels++] =
        (end - first + launch->local_size - 1) / launch->local_size * launch->local_size;
    for (uint32_t i = 0; i < launch->num_args; i++) {
        CLV_TRY(p->v->kernel_set_buffer(*kernel, i, buffer_of(p, &launch->args[i])));
    }
    CLV_TRY(
        p->v->kernel_set_bytes(*kernel, launch->num_args, launch->params, launch->params_bytes));
    return p->v->kernel_set_bytes(*kernel, launch->num_args + 1, &range, sizeof range);
}

static clv_status *on_launch(void *context, const clv_launch *launch) {
    prepared *p = context;
    const char *options = launch->options != NULL ? launch->options : "";
    const clv_program_desc desc = {
        .name = launch->source->name,
        .source = launch->source->text,
        .source_bytes = launch->source->bytes,
        .options = options};
    if (p->num_kernels == MAX_KERNELS) {
        return CLV_ERROR(INTERNAL, "more than %d launches", MAX_KERNELS);
    }
    clv_program **program = &p->programs[p->num_kernels];
    CLV_TRY(p->v->program_create(p->device, &desc, program));
    uint64_t items = p->device->info.max_items;
    uint64_t most =
        items != 0 ? items / launch->local_size * launch->local_size : launch->num_items;
    for (uint64_t first = 0; first < launch->num_items; first += most) {
        uint64_t end = launch->num_items - first < most ? launch->num_items : first + most;
        CLV_TRY(add_kernel(p, *program, launch, first, end));
    }
    return NULL;
}

static clv_status *make_operands(
    prepared *p, const clv_variant *variant, const clv_traits *traits) {
    clv_layout in[MAX_OPERANDS] = {{0}}, out[MAX_OPERANDS] = {{0}};
    if (variant->layouts != NULL) {
        variant->layouts(&p->call, traits, in, out);
    }
    for (size_t i = 0; i < p->call.num_inputs; i++) {
        clv_view *view = &p->inputs[i];
        if (view->dtype == CLV_DTYPE_NONE) {
            continue;
        }
        view->layout = in[i];
        size_t bytes = clv_layout_bytes(view->dtype, &view->shape, &in[i]);
        CLV_TRY(p->v->buffer_create(p->device, bytes + 1, &p->in[i]));
        const void *data = p->data->call.inputs[i].data;
        if (clv_layout_is_blocked(&in[i])) {
            clv_layout_pack(&view->shape, &in[i], data, p->v->buffer_host(p->in[i]));
        } else {
            memcpy(p->v->buffer_host(p->in[i]), data, bytes);
        }
    }
    for (size_t i = 0; i < p->call.num_outputs; i++) {
        clv_view *view = &p->outputs[i];
        view->layout = out[i];
        size_t bytes = clv_layout_bytes(view->dtype, &view->shape, &out[i]);
        CLV_TRY(p->v->buffer_create(p->device, bytes + 1, &p->out[i]));
    }
    return NULL;
}

static clv_status *prepare(
    prepared *p, clv_device *device, const clv_case_data *data, const clv_variant *variant,
    const clv_traits *traits) {
    const clv_way way = {.variant = variant};
    int32_t tunables[CLV_MAX_TUNABLES];
    clv_way_tunables(&way, tunables);
    CLV_TRY(make_operands(p, variant, traits));
    const clv_emitter emitter = {
        .context = p, .launch = on_launch, .scratch = on_scratch, .constant = on_constant};
    (void)device;
    (void)data;
    return clv_variant_emit(variant, &p->call, traits, tunables, &emitter);
}

/* The call as variants see it: all inputs but the first are constants. */
static void show(prepared *p, clv_device *device, const clv_case_data *data) {
    *p = (prepared){.v = device->vtable, .device = device, .data = data, .call = data->call};
    for (size_t i = 0; i < data->call.num_inputs && i < MAX_OPERANDS; i++) {
        p->inputs[i] = data->call.inputs[i];
        p->inputs[i].data = i == 0 ? NULL : p->inputs[i].data;
    }
    for (size_t i = 0; i < data->call.num_outputs && i < MAX_OPERANDS; i++) {
        p->outputs[i] = data->call.outputs[i];
    }
    p->call.inputs = p->inputs;
    p->call.outputs = p->outputs;
}

static void release(prepared *p) {
    for (size_t i = MAX_KERNELS; p->v != NULL && i-- > 0;) {
        if (p->kernels[i] != NULL) {
            p->v->kernel_destroy(p->kernels[i]);
        }
    }
    for (size_t i = 0; p->v != NULL && i < MAX_KERNELS; i++) {
        if (p->programs[i] != NULL) {
            p->v->program_destroy(p->programs[i]);
        }
    }
    clv_buffer **const all[] = {p->in, p->out, p->scratch, p->constants};
    for (size_t k = 0; p->v != NULL && k < 4; k++) {
        for (size_t i = 0; i < (k < 2 ? (size_t)MAX_OPERANDS : (size_t)MAX_BUFFERS); i++) {
            if (all[k][i] != NULL) {
                p->v->buffer_destroy(all[k][i]);
            }
        }
    }
    clv_free(p);
}

/* --- measuring ------------------------------------------------------------------------------- */

static double thread_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Fills the caches with something else. */
static void sweep(void) {
    enum { SWEEP_BYTES = 96 << 20 };
    static unsigned char *memory;
    static volatile unsigned sum; /* so that reading is not left out */
    (void)sum;
    if (memory == NULL) {
        memory = clv_alloc(SWEEP_BYTES);
        memset(memory, 1, memory != NULL ? SWEEP_BYTES : 0);
    }
    for (size_t i = 0; memory != NULL && i < SWEEP_BYTES; i += 64) {
        sum += memory[i];
    }
}

static clv_status *run_once(prepared *p, clv_queue *queue, int round, bool is_cold) {
    double wall = clv_time_us(), thread = thread_us();
    for (size_t i = 0; i < p->num_kernels; i++) {
        CLV_TRY(
            p->v->enqueue_kernel(queue, p->kernels[i], p->items[i], p->local[i], NULL, 0, NULL));
    }
    CLV_TRY(p->v->queue_finish(queue));
    int at = round < 0 ? 0 : round;
    if (is_cold) {
        p->cold_us[at] = thread_us() - thread;
        return NULL;
    }
    p->wall_us[at] = clv_time_us() - wall;
    p->thread_us[at] = thread_us() - thread;
    return NULL;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

typedef struct ceilings {
    double flops_per_us, bytes_per_us;
} ceilings;

static void print_variant(
    const clv_variant *variant, prepared *p, const clv_cost *cost, const ceilings *top,
    int rounds) {
    double wall = median(p->wall_us, rounds), thread = median(p->thread_us, rounds);
    double cold = median(p->cold_us, rounds), bytes = cost->read_bytes + cost->write_bytes;
    printf(
        "  %-10s %9.1f us %9.1f us of the thread %9.1f us cold %7.1f GFLOP/s (%3.0f%%) %6.1f GB/s "
        "(%3.0f%%) "
        "%3zu launches\n",
        variant->name, wall, thread, cold, cost->flops / thread * 1e-3,
        100 * cost->flops / thread / top->flops_per_us, bytes / thread * 1e-3,
        100 * bytes / thread / top->bytes_per_us, p->num_kernels);
}

static clv_status *measure(
    const clv_case *source, clv_exec_unit *unit, clv_queue *queue, const ceilings *top,
    int rounds) {
    prepared *ready[MAX_VARIANTS] = {NULL};
    const clv_traits traits = clv_exec_unit_traits(unit);
    clv_case_data data;
    clv_status *status = NULL;
    char label[256];
    CLV_TRY_DONE(clv_case_init(source, 1, &data));
    CLV_TRY_DONE(clv_case_infer(&data));
    const clv_kernel_family *family = data.call.op->kernels;
    for (size_t v = 0; v < family->num_variants && v < MAX_VARIANTS; v++) {
        const clv_variant *variant = &family->variants[v];
        prepared *p = clv_alloc_zeroed(1, sizeof *p);
        if (p == NULL) {
            status = CLV_ERROR(NO_MEMORY, "out of host memory");
            goto done;
        }
        ready[v] = p;
        show(p, unit->devices[0], &data);
        if (variant->fits == NULL || variant->fits(&p->call, &traits)) {
            CLV_TRY_DONE(prepare(p, unit->devices[0], &data, variant, &traits));
        }
    }
    for (int round = -3; round < rounds; round++) { /* three to warm up */
        for (size_t v = 0; v < MAX_VARIANTS; v++) {
            if (ready[v] != NULL && ready[v]->num_kernels > 0) {
                CLV_TRY_DONE(run_once(ready[v], queue, round, false));
                CLV_TRY_DONE(run_once(ready[v], queue, round, false));
                sweep();
                CLV_TRY_DONE(run_once(ready[v], queue, round, true));
            }
        }
    }
    clv_cost cost;
    clv_call_cost(&data.call, &cost);
    printf("%s\n", clv_case_label(source, label));
    for (size_t v = 0; v < family->num_variants && v < MAX_VARIANTS; v++) {
        if (ready[v]->num_kernels > 0) {
            print_variant(&family->variants[v], ready[v], &cost, top, rounds);
        }
    }
done:
    for (size_t v = 0; v < MAX_VARIANTS; v++) {
        if (ready[v] != NULL) {
            release(ready[v]);
        }
    }
    clv_case_deinit(&data);
    return status;
}

/* --- ceilings -------------------------------------------------------------------------------- */

enum { PEAK_LOOPS = 200000, PEAK_SUMS = 12, READ_BYTES = 128 << 20 };

/* WIDTH: lanes of a vector. Drivers may launch more work-items than asked for: one works. */
static const char ceiling_source[] =
    "#define P2(a, b) a##b\n"
    "#define P(a, b) P2(a, b)\n"
    "typedef P(float, WIDTH) fv;\n"
    "#if WIDTH == 16\n"
    "#define WIDE __attribute__((min_vector_width(512)))\n"
    "#else\n"
    "#define WIDE\n"
    "#endif\n"
    "WIDE kernel void peak(global float *x, uint loops) {\n"
    "    if (get_global_id(0) != 0) { return; }\n"
    "    fv s[12], a = (fv)(x[0]), b = (fv)(x[1]);\n"
    "    _Pragma(\"unroll\") for (int i = 0; i < 12; i++) { s[i] = (fv)(x[i]); }\n"
    "    for (uint k = 0; k < loops; k++) {\n"
    "        _Pragma(\"unroll\") for (int i = 0; i < 12; i++) { s[i] = fma(s[i], a, b); }\n"
    "    }\n"
    "    fv t = s[0];\n"
    "    _Pragma(\"unroll\") for (int i = 1; i < 12; i++) { t += s[i]; }\n"
    "    *(global fv *)x = t;\n"
    "}\n"
    "WIDE kernel void stream(global float *x, uint vectors) {\n"
    "    if (get_global_id(0) != 0) { return; }\n"
    "    fv s[4];\n"
    "    _Pragma(\"unroll\") for (int i = 0; i < 4; i++) { s[i] = (fv)(0.0f); }\n"
    "    for (uint k = 0; k < vectors; k += 4) {\n"
    "        _Pragma(\"unroll\") for (int i = 0; i < 4; i++) {\n"
    "            s[i] += *(global fv *)(x + (k + i) * WIDTH);\n"
    "        }\n"
    "    }\n"
    "    *(global fv *)x = s[0] + s[1] + s[2] + s[3];\n"
    "}\n";

/* The shortest thread time of a few runs of one of the kernels above. */
static clv_status *time_ceiling(
    clv_device *device, clv_queue *queue, clv_buffer *buffer, const char *entry, uint32_t count,
    uint32_t width, double *out_us) {
    const clv_device_vtable *v = device->vtable;
    clv_program *program = NULL;
    clv_kernel *kernel = NULL;
    clv_status *status = NULL;
    const clv_program_desc desc = {
        .name = "ceilings",
        .source = ceiling_source,
        .source_bytes = sizeof ceiling_source - 1,
        .options = width == 16 ? "-DWIDTH=16" : "-DWIDTH=8"};
    CLV_TRY_DONE(v->program_create(device, &desc, &program));
    CLV_TRY_DONE(v->kernel_create(program, entry, &kernel));
    CLV_TRY_DONE(v->kernel_set_buffer(kernel, 0, buffer));
    CLV_TRY_DONE(v->kernel_set_bytes(kernel, 1, &count, sizeof count));
    *out_us = 1e30;
    for (int i = 0; i < 7; i++) {
        double begin = thread_us();
        CLV_TRY_DONE(v->enqueue_kernel(queue, kernel, 1, 1, NULL, 0, NULL));
        CLV_TRY_DONE(v->queue_finish(queue));
        double us = thread_us() - begin;
        *out_us = us < *out_us ? us : *out_us;
    }
done:
    if (kernel != NULL) {
        v->kernel_destroy(kernel);
    }
    if (program != NULL) {
        v->program_destroy(program);
    }
    return status;
}

static clv_status *find_ceilings(clv_exec_unit *unit, clv_queue *queue, ceilings *out) {
    clv_device *device = unit->devices[0];
    const clv_traits traits = clv_exec_unit_traits(unit);
    uint32_t width = clv_width(&traits) == 16 ? 16 : 8;
    clv_buffer *buffer = NULL;
    double peak_us = 1, read_us = 1;
    clv_status *status = NULL;
    CLV_TRY(device->vtable->buffer_create(device, READ_BYTES, &buffer));
    memset(device->vtable->buffer_host(buffer), 0, READ_BYTES);
    CLV_TRY_DONE(time_ceiling(device, queue, buffer, "peak", PEAK_LOOPS, width, &peak_us));
    CLV_TRY_DONE(time_ceiling(
        device, queue, buffer, "stream", READ_BYTES / (uint32_t)sizeof(float) / width, width,
        &read_us));
    out->flops_per_us = 2.0 * PEAK_LOOPS * PEAK_SUMS * width / peak_us;
    out->bytes_per_us = READ_BYTES / read_us;
    printf(
        "one core: %.0f GFLOP/s of multiply-adds, %.1f GB/s from memory\n",
        out->flops_per_us * 1e-3, out->bytes_per_us * 1e-3);
done:
    device->vtable->buffer_destroy(buffer);
    return status;
}

static clv_status *run(clv_rig *rig, int rounds, const clv_case *cases, size_t num_cases) {
    clv_exec_unit unit = {.num_devices = 0};
    clv_queue *queue = NULL;
    ceilings top = {1, 1};
    clv_status *status = NULL;
    CLV_TRY(clv_rig_open(rig, "core:0", false, &unit));
    const clv_device_vtable *v = unit.devices[0]->vtable;
    CLV_TRY_DONE(v->queue_create(unit.devices[0], CLV_QUEUE_COMPUTE, &queue));
    CLV_TRY_DONE(find_ceilings(&unit, queue, &top));
    for (size_t i = 0; i < num_cases; i++) {
        CLV_TRY_DONE(measure(&cases[i], &unit, queue, &top, rounds));
    }
done:
    if (queue != NULL) {
        v->queue_destroy(queue);
    }
    clv_rig_close(&unit);
    return status;
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 21;
    if (rounds < 1 || rounds > MAX_ROUNDS || argc == 3 || argc > 5) {
        fprintf(stderr, "usage: kernel_bench [ROUNDS [OP 'INPUTS' ['ATTRS']]]\n");
        return 2;
    }
    const clv_case given = {
        argc > 3 ? argv[2] : "", argc > 3 ? argv[3] : "", argc > 4 ? argv[4] : NULL};
    const bool is_given = argc > 3;
    clv_rig rig = {.ocl = NULL};
    clv_status *status = clv_rig_init(&rig, 1, 0);
    if (status == NULL) {
        status =
            run(&rig, rounds, is_given ? &given : shapes,
                is_given ? 1 : sizeof shapes / sizeof shapes[0]);
    }
    clv_rig_deinit(&rig);
    if (status != NULL) {
        fprintf(stderr, "kernel_bench: %s\n", clv_status_message(status));
        clv_status_destroy(status);
        return 1;
    }
    return 0;
}
