#include "host/tune/link_probe.h"

#include "host/base/cancel.h"
#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/exec/events.h"
#include "host/tune/probe_program.h"
#include "host/tune/samples.h"
#include "kernels_cl/probe/probe_params.h"
#include <math.h>
#include <string.h>

enum { LARGEST = 16 << 20, ROUNDS = 7 };

static const uint32_t sizes[] = {1 << 10, 32 << 10, 256 << 10, 2 << 20, LARGEST};
enum { NUM_SIZES = sizeof sizes / sizeof sizes[0] };

typedef struct link_rig {
    const clv_exec_unit *unit;
    clv_device *device;
    clv_queue *compute, *upload, *download;
    clv_buffer *buffer, *out;
    clv_program *program;
    clv_kernel *kernel;
    uint64_t num_items;
    uint32_t local_size, width;
    char *data;
} link_rig;

/* --- the line -------------------------------------------------------------------------------- */

/* Minimises the sum of ((a + b x) / t - 1)^2, with weights 1 / t^2. */
void clv_link_fit(
    const double *bytes, const double *us, size_t count, double *out_latency_us,
    double *out_bandwidth) {
    double w = 0, wx = 0, wxx = 0, wt = 0, wxt = 0;
    for (size_t i = 0; i < count; i++) {
        const double weight = 1 / (us[i] * us[i]);
        w += weight;
        wx += weight * bytes[i];
        wxx += weight * bytes[i] * bytes[i];
        wt += weight * us[i];
        wxt += weight * bytes[i] * us[i];
    }
    const double determinant = w * wxx - wx * wx;
    double slope = determinant > 0 ? (w * wxt - wx * wt) / determinant : 0;
    double latency_us = (wt - slope * wx) / w;
    if (latency_us < 0) {
        latency_us = 0;
        slope = wxt / wxx;
    } else if (slope < 0) {
        slope = 0;
        latency_us = wt / w;
    }
    *out_latency_us = latency_us;
    *out_bandwidth = slope > 0 ? 1e6 / slope : (double)INFINITY;
}

/* --- transfers ------------------------------------------------------------------------------- */

/* Of a command that was enqueued with `status`; whatever fails, it is at no memory afterwards. */
static clv_status *end(clv_queue *queue, clv_status *status, clv_event *event) {
    if (status == NULL) {
        status = queue->device->vtable->queue_flush(queue);
    }
    if (event != NULL) {
        status = clv_status_join(status, clv_event_wait_for_end(event));
    }
    clv_event_release(&event);
    return status;
}

/* There and back: half of it is the time of one transfer. */
static clv_status *move_once(const link_rig *r, uint32_t bytes, double *out_us) {
    const clv_device_vtable *v = r->device->vtable;
    clv_event *event = NULL;
    const double begin_us = clv_time_us();
    clv_status *status = v->enqueue_write(r->upload, r->buffer, 0, bytes, r->data, NULL, 0, &event);
    CLV_TRY(end(r->upload, status, event));
    event = NULL;
    status = v->enqueue_read(r->download, r->buffer, 0, bytes, r->data, NULL, 0, &event);
    CLV_TRY(end(r->download, status, event));
    *out_us = (clv_time_us() - begin_us) / 2;
    return NULL;
}

static clv_status *measure_line(const link_rig *r, double *out_latency_us, double *out_bandwidth) {
    double bytes[NUM_SIZES], us[NUM_SIZES], now_us;
    for (size_t i = 0; i < NUM_SIZES; i++) {
        bytes[i] = sizes[i];
        for (int k = -1; k < ROUNDS; k++) { /* the first one makes pages be there */
            CLV_TRY(clv_cancel_check());
            CLV_TRY(move_once(r, sizes[i], &now_us));
            us[i] = k <= 0 ? now_us : fmin(us[i], now_us);
        }
    }
    clv_link_fit(bytes, us, NUM_SIZES, out_latency_us, out_bandwidth);
    return NULL;
}

/* --- beside a kernel ------------------------------------------------------------------------- */

static clv_status *set_loops(const link_rig *r, uint32_t loops) {
    const clv_range range = {.end = r->num_items};
    const probe_params params = {.stride = r->width, .loops = loops};
    CLV_TRY(r->device->vtable->kernel_set_bytes(r->kernel, 1, &params, sizeof params));
    return r->device->vtable->kernel_set_bytes(r->kernel, 2, &range, sizeof range);
}

/* A kernel, and a transfer there and back while it runs. */
static clv_status *compute_once(const link_rig *r, bool with_transfer, double *out_us) {
    const clv_device_vtable *v = r->device->vtable;
    const uint64_t groups = (r->num_items + r->local_size - 1) / r->local_size;
    clv_event *kernel = NULL;
    double ignored_us;
    const double begin_us = clv_time_us();
    clv_status *status = v->enqueue_kernel(
        r->compute, r->kernel, groups * r->local_size, r->local_size, NULL, 0, &kernel);
    if (status == NULL) {
        status = v->queue_flush(r->compute);
    }
    if (status == NULL && with_transfer) {
        status = move_once(r, LARGEST, &ignored_us);
    }
    status = end(r->compute, status, kernel);
    *out_us = clv_time_us() - begin_us;
    return status;
}

/* A kernel of three times what a large transfer there and back takes, or more; then both. */
static clv_status *measure_hidden(const link_rig *r, double *out_hidden) {
    double alone[ROUNDS], both[ROUNDS], transfers[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        CLV_TRY(move_once(r, LARGEST, &transfers[i]));
    }
    const double transfer_us = 2 * clv_cost_of_samples(transfers, ROUNDS).time_us;
    const uint32_t most = 1u << 28;
    for (uint32_t loops = 16;; loops *= 2) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(set_loops(r, loops));
        CLV_TRY(compute_once(r, false, &alone[0]));
        if (alone[0] >= 3 * transfer_us || loops >= most) {
            break;
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        CLV_TRY(clv_cancel_check());
        CLV_TRY(compute_once(r, false, &alone[i]));
        CLV_TRY(compute_once(r, true, &both[i]));
    }
    const double both_us = clv_cost_of_samples(both, ROUNDS).time_us;
    const double more_us = both_us - clv_cost_of_samples(alone, ROUNDS).time_us;
    *out_hidden = fmin(fmax(1 - more_us / transfer_us, 0), 1);
    return NULL;
}

/* --- the device ------------------------------------------------------------------------------ */

static clv_status *open_rig(link_rig *r) {
    const clv_device_vtable *v = r->device->vtable;
    r->data = clv_alloc(LARGEST);
    if (r->data == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for measuring a link");
    }
    memset(r->data, 1, LARGEST); /* pages that were never written are all one */
    CLV_TRY(v->buffer_create(r->device, LARGEST, &r->buffer));
    CLV_TRY(v->queue_create(r->device, CLV_QUEUE_UPLOAD, &r->upload));
    return v->queue_create(r->device, CLV_QUEUE_DOWNLOAD, &r->download);
}

static clv_status *open_kernel(link_rig *r) {
    const clv_device_vtable *v = r->device->vtable;
    const clv_traits traits = clv_exec_unit_traits(r->unit);
    r->width = clv_width(&traits);
    r->local_size = clv_local_size(&traits);
    r->num_items = traits.is_cpu ? r->device->info.compute_units : CLV_PROBE_GPU_ITEMS;
    const size_t out_bytes = (size_t)r->num_items * r->width * sizeof(float);
    CLV_TRY(v->buffer_create(r->device, out_bytes, &r->out));
    CLV_TRY(v->queue_create(r->device, CLV_QUEUE_COMPUTE, &r->compute));
    CLV_TRY(clv_probe_program_create(r->unit, r->device, &r->program));
    CLV_TRY(v->kernel_create(r->program, "probe_peak", &r->kernel));
    return v->kernel_set_buffer(r->kernel, 0, r->out);
}

static void close_rig(link_rig *r) {
    const clv_device_vtable *v = r->device->vtable;
    clv_queue *queues[] = {r->compute, r->upload, r->download};
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        if (queues[i] != NULL) {
            v->queue_destroy(queues[i]);
        }
    }
    v->kernel_destroy(r->kernel);
    v->program_destroy(r->program);
    v->buffer_destroy(r->buffer);
    v->buffer_destroy(r->out);
    clv_free(r->data);
}

clv_status *clv_link_probe(
    const clv_exec_unit *unit, double *out_latency_us, double *out_bandwidth) {
    link_rig r = {.unit = unit, .device = unit->devices[0]};
    *out_latency_us = *out_bandwidth = 0;
    clv_status *status = open_rig(&r);
    if (status == NULL) {
        status = measure_line(&r, out_latency_us, out_bandwidth);
    }
    close_rig(&r);
    return status;
}

clv_status *clv_link_probe_hidden(const clv_exec_unit *unit, double *out_hidden) {
    link_rig r = {.unit = unit, .device = unit->devices[0]};
    *out_hidden = 0;
    clv_status *status = open_rig(&r);
    if (status == NULL) {
        status = open_kernel(&r);
    }
    if (status == NULL) {
        status = measure_hidden(&r, out_hidden);
    }
    if (status == NULL) {
        r.device->vtable->program_settle(r.program);
    }
    close_rig(&r);
    return status;
}
