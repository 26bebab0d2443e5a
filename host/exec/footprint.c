#include "host/exec/footprint.h"

#include "host/base/memory.h"
#include "host/exec/lower.h"

clv_traits clv_plain_core_traits(void) {
    return (clv_traits){
        .is_cpu = true,
        .has_fp64 = true,
        .simd_bytes = 32,
        .num_lanes = 1,
        .max_local_size = 1024,
    };
}

/* Constants that a kernel reads as they are count with each node that does. */
static clv_status *add_plain_constants(const clv_lowered *lowered, clv_workload *workload) {
    uint32_t *last_reader = clv_alloc_zeroed(lowered->num_storages + 1, sizeof *last_reader);
    if (last_reader == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for what a model holds");
    }
    for (size_t i = 0; i < lowered->num_steps; i++) {
        const clv_step *step = &lowered->steps[i];
        for (uint32_t k = 0; step->kind == CLV_STEP_LAUNCH && k < step->num_operands; k++) {
            const uint32_t index = step->operands[k].storage;
            const clv_storage *s = index != CLV_NO_STORAGE ? &lowered->storages[index] : NULL;
            const bool is_plain =
                s != NULL && s->kind == CLV_STORAGE_CONSTANT && s->tensor != CLV_NO_INDEX;
            if (is_plain && last_reader[index] != step->index + 1) {
                workload->tasks[step->index].weight_bytes += clv_memory_align(s->piece.bytes);
                last_reader[index] = step->index + 1;
            }
        }
    }
    clv_free(last_reader);
    return NULL;
}

/* What kernels asked for, and into tensor_bytes [num_tensors of the graph] what lies where tensors
 * have memory of their own. */
static void add_storages(
    const clv_lowered *lowered, clv_workload *workload, uint64_t *tensor_bytes) {
    for (size_t i = 0; i < lowered->num_storages; i++) {
        const clv_storage *s = &lowered->storages[i];
        const uint64_t bytes = clv_memory_align(s->piece.bytes);
        const bool is_value = s->kind == CLV_STORAGE_VALUE;
        if (s->node != CLV_NO_INDEX) {
            clv_task *task = &workload->tasks[s->node];
            task->weight_bytes += is_value ? 0 : bytes;
            task->scratch_bytes += is_value ? bytes : 0;
        } else if (s->tensor != CLV_NO_INDEX && is_value) {
            tensor_bytes[s->tensor] += bytes;
        }
    }
}

static clv_status *set_footprint(const clv_lowered *lowered, clv_workload *workload) {
    const clv_graph *graph = lowered->graph;
    uint64_t *tensor_bytes = clv_alloc_zeroed(graph->num_tensors + 1, sizeof *tensor_bytes);
    if (tensor_bytes == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for what a model holds");
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        workload->tasks[i].weight_bytes = workload->tasks[i].scratch_bytes = 0;
    }
    add_storages(lowered, workload, tensor_bytes);
    uint32_t next = 0; /* a workload has its tensors in the graph's order, but for constants */
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (graph->tensors[i].kind != CLV_TENSOR_CONSTANT) {
            clv_task_tensor *tensor = &workload->tensors[next++];
            tensor->resident = tensor_bytes[i] != 0 ? tensor_bytes[i] : tensor->resident;
        }
    }
    clv_free(tensor_bytes);
    return add_plain_constants(lowered, workload);
}

clv_status *clv_workload_set_footprint(
    const clv_graph *graph, const clv_traits *traits, const clv_known_times *times,
    clv_workload *workload) {
    const clv_lower_options options = {
        .traits = *traits, .max_block_bytes = UINT64_MAX / 4, .times = times};
    clv_lowered lowered;
    clv_status *status = clv_lower(graph, &options, &lowered);
    if (status != NULL && clv_status_code(status) == CLV_UNSUPPORTED) {
        clv_status_destroy(status); /* as a session will say */
        return NULL;
    }
    CLV_TRY(status);
    status = set_footprint(&lowered, workload);
    clv_lowered_deinit(&lowered);
    return status;
}
