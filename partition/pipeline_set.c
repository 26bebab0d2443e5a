/* The load of a set of atoms, kept up to date; cuts. */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <math.h>

void clv_pipe_add(clv_pipe *pipe, uint32_t atom) {
    clv_pipe_set *set = &pipe->set;
    set->has[atom] = true;
    set->weights += pipe->weights[atom];
    for (uint32_t i = pipe->first_in[atom]; i < pipe->first_in[atom + 1]; i++) {
        uint32_t x = pipe->ins[i];
        const clv_pipe_tensor *tensor = &pipe->tensors[x];
        bool is_home = tensor->producer == CLV_NO_INDEX;
        if (!is_home && set->has[tensor->producer]) {
            if (--set->left[x] == 0) {
                set->out_bytes -= tensor->bytes;
                set->out_count--;
                set->home_out_bytes += tensor->is_output ? tensor->bytes : 0;
                set->home_out_count += tensor->is_output ? 1 : 0;
            }
        } else if (set->seen[x]++ == 0) {
            *(is_home ? &set->home_in_bytes : &set->in_bytes) += tensor->bytes;
            *(is_home ? &set->home_in_count : &set->in_count) += 1;
            set->touched += tensor->resident;
        }
    }
    for (uint32_t i = pipe->first_out[atom]; i < pipe->first_out[atom + 1]; i++) {
        uint32_t y = pipe->outs[i];
        const clv_pipe_tensor *tensor = &pipe->tensors[y];
        set->left[y] = tensor->num_readers;
        set->touched += tensor->resident;
        if (pipe->is_back != NULL && set->seen[y] > 0) { /* its readers are here already */
            set->left[y] -= set->seen[y];
            set->in_bytes -= tensor->bytes;
            set->in_count--;
            set->touched -= tensor->resident;
        }
        if (set->left[y] > 0) {
            set->out_bytes += tensor->bytes;
            set->out_count++;
        } else if (tensor->is_output) {
            set->home_out_bytes += tensor->bytes;
            set->home_out_count++;
        }
    }
}

void clv_pipe_remove(clv_pipe *pipe, uint32_t atom) {
    clv_pipe_set *set = &pipe->set;
    for (uint32_t i = pipe->first_out[atom]; i < pipe->first_out[atom + 1]; i++) {
        const clv_pipe_tensor *tensor = &pipe->tensors[pipe->outs[i]];
        set->touched -= tensor->resident;
        if (pipe->is_back != NULL && set->seen[pipe->outs[i]] > 0) {
            set->in_bytes += tensor->bytes;
            set->in_count++;
            set->touched += tensor->resident;
        }
        if (set->left[pipe->outs[i]] > 0) {
            set->out_bytes -= tensor->bytes;
            set->out_count--;
        } else if (tensor->is_output) {
            set->home_out_bytes -= tensor->bytes;
            set->home_out_count--;
        }
    }
    for (uint32_t i = pipe->first_in[atom]; i < pipe->first_in[atom + 1]; i++) {
        uint32_t x = pipe->ins[i];
        const clv_pipe_tensor *tensor = &pipe->tensors[x];
        bool is_home = tensor->producer == CLV_NO_INDEX;
        if (!is_home && set->has[tensor->producer]) {
            if (set->left[x]++ == 0) {
                set->out_bytes += tensor->bytes;
                set->out_count++;
                set->home_out_bytes -= tensor->is_output ? tensor->bytes : 0;
                set->home_out_count -= tensor->is_output ? 1 : 0;
            }
        } else if (--set->seen[x] == 0) {
            *(is_home ? &set->home_in_bytes : &set->in_bytes) -= tensor->bytes;
            *(is_home ? &set->home_in_count : &set->in_count) -= 1;
            set->touched -= tensor->resident;
        }
    }
    set->weights -= pipe->weights[atom];
    set->has[atom] = false;
}

double clv_pipe_load(const clv_pipe *pipe, uint32_t sort_index, double compute_us) {
    const clv_pipe_sort *sort = &pipe->sorts[sort_index];
    const clv_pipe_set *set = &pipe->set;
    double in_count = set->in_count, in_bytes = set->in_bytes;
    double out_count = set->out_count, out_bytes = set->out_bytes;
    double held = set->weights + (pipe->is_careful ? set->touched : 0);
    if (sort->limit_bytes != CLV_UNLIMITED && held > (double)sort->limit_bytes) {
        return (double)INFINITY;
    }
    if (!sort->is_home) {
        in_count += set->home_in_count;
        in_bytes += set->home_in_bytes;
        out_count += set->home_out_count;
        out_bytes += set->home_out_bytes;
    }
    double in_us = in_count * sort->in_latency_us + in_bytes * sort->in_us_per_byte;
    double out_us = out_count * sort->out_latency_us + out_bytes * sort->out_us_per_byte;
    if (!sort->overlaps) {
        return compute_us + in_us + out_us;
    }
    return fmax(compute_us, sort->half_duplex ? in_us + out_us : fmax(in_us, out_us));
}

double clv_pipe_least_load(const clv_pipe *pipe, uint32_t sort_index, double compute_us) {
    const clv_pipe_sort *sort = &pipe->sorts[sort_index];
    const clv_pipe_set *set = &pipe->set;
    double count = set->in_count + (sort->is_home ? 0 : set->home_in_count);
    double bytes = set->in_bytes + (sort->is_home ? 0 : set->home_in_bytes);
    if (pipe->is_back != NULL) { /* what is received may come to be made here */
        return compute_us;
    }
    double in_us = count * sort->in_latency_us + bytes * sort->in_us_per_byte;
    return sort->overlaps ? fmax(compute_us, in_us) : compute_us + in_us;
}

clv_status *clv_pipe_cut_init(const clv_pipe *pipe, clv_pipe_cut *out_cut) {
    *out_cut = (clv_pipe_cut){.load_us = (double)INFINITY};
    out_cut->sort = clv_alloc_zeroed((size_t)pipe->max_stages + 1, sizeof *out_cut->sort);
    out_cut->stage = clv_alloc_zeroed(pipe->num_atoms, sizeof *out_cut->stage);
    if (out_cut->sort == NULL || out_cut->stage == NULL) {
        clv_pipe_cut_deinit(out_cut);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline");
    }
    return NULL;
}

void clv_pipe_cut_deinit(clv_pipe_cut *cut) {
    clv_free(cut->sort);
    clv_free(cut->stage);
    *cut = (clv_pipe_cut){0};
}
