/* Folded pipelines: graphs in which colocations tie the way back to the way there, as training ties
 * the backward task of a layer to the forward one. A contiguous cut would have one stage, from the
 * first forward task to its backward task at the end. Folded, the way there is cut, and each stage
 * has with its tasks those that are colocated with them: requests pass its unit twice, and
 * gradients cross the cuts in the other direction. (Tarnawski et al., NeurIPS 2020, cut training
 * graphs so.)
 */
#include "host/base/memory.h"
#include "partition/pipeline.h"

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline")

/* The way back: the tasks that are colocated with one before them, and all that need one of it. */
static bool mark_back(clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    const clv_workload *workload = problem->costs->workload;
    bool is_any = false;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        bool is_back = problem->first_of_colocation[i] != i;
        for (uint32_t k = 0; k < workload->tasks[i].num_inputs && !is_back; k++) {
            uint32_t producer = workload->tensors[workload->tasks[i].inputs[k]].producer;
            is_back = producer != CLV_NO_TASK && pipe->is_back[producer];
        }
        pipe->is_back[i] = is_back;
        is_any = is_any || is_back;
    }
    return is_any;
}

/* Whether most of the way back has its place on the way there, and most of that one back: else
 * colocations are few, and a contiguous cut is what is asked for. What others are colocated with
 * must be on the way there. */
static bool is_mirrored(const clv_pipe *pipe) {
    const clv_problem *problem = pipe->problem;
    const clv_workload *workload = problem->costs->workload;
    uint32_t num_there = 0, num_back = 0, tied_there = 0, tied_back = 0;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        bool is_first = problem->first_of_colocation[i] == i;
        bool is_tied = workload->tasks[i].colocation > 0;
        if (pipe->is_back[i] && is_first && is_tied) {
            return false;
        }
        num_there += !pipe->is_back[i];
        num_back += pipe->is_back[i];
        tied_there += !pipe->is_back[i] && is_tied;
        tied_back += pipe->is_back[i] && is_tied;
    }
    return 2 * tied_there >= num_there && 2 * tied_back >= num_back;
}

clv_status *clv_pipe_find_back(clv_pipe *pipe) {
    uint32_t count = pipe->problem->costs->workload->num_tasks;
    pipe->is_back = clv_arena_alloc(&pipe->arena, count, sizeof *pipe->is_back);
    if (pipe->is_back == NULL) {
        return NO_MEMORY_HERE();
    }
    bool is_folded = mark_back(pipe) && is_mirrored(pipe);
    pipe->is_back = is_folded ? pipe->is_back : NULL;
    return NULL;
}

/* The atom of the task that makes the most of what this one reads. */
static uint32_t main_producer(const clv_pipe *pipe, uint32_t task) {
    const clv_workload *workload = pipe->problem->costs->workload;
    const clv_task *t = &workload->tasks[task];
    uint32_t best = CLV_NO_INDEX;
    uint64_t most = 0;
    for (uint32_t k = 0; k < t->num_inputs; k++) {
        const clv_task_tensor *tensor = &workload->tensors[t->inputs[k]];
        if (tensor->producer != CLV_NO_TASK && (best == CLV_NO_INDEX || tensor->bytes > most)) {
            best = pipe->atom_of_task[tensor->producer];
            most = tensor->bytes;
        }
    }
    return best;
}

void clv_pipe_attach_back(clv_pipe *pipe, const uint32_t *ring, uint32_t *number) {
    const clv_workload *workload = pipe->problem->costs->workload;
    uint32_t count = 0;
    for (uint32_t i = 0; i < pipe->num_atoms; i++) {
        number[i] = 0;
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        if (pipe->is_back[i] && ring[i] == i) {
            pipe->atom_of_task[i] = main_producer(pipe, i);
        }
        number[pipe->atom_of_task[i]] = 1;
    }
    for (uint32_t i = 0; i < pipe->num_atoms; i++) {
        count += number[i];
        number[i] = count - number[i];
    }
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        pipe->atom_of_task[i] = number[pipe->atom_of_task[i]];
    }
    pipe->num_atoms = count;
}

void clv_pipe_number_back(const clv_pipe *pipe, clv_group *group) {
    const clv_workload *workload = pipe->problem->costs->workload;
    uint32_t before = group->num_stages;
    for (uint32_t i = 0; i < workload->num_tasks; i++) {
        uint32_t stage = pipe->is_back[i] ? 0 : group->placements[i].stage;
        for (uint32_t k = 0; pipe->is_back[i] && k < workload->tasks[i].num_inputs; k++) {
            uint32_t producer = workload->tensors[workload->tasks[i].inputs[k]].producer;
            if (producer != CLV_NO_TASK) {
                bool is_same = group->pieces[producer].unit == group->pieces[i].unit;
                uint32_t least = group->placements[producer].stage + (is_same ? 0 : 1);
                stage = stage > least ? stage : least;
            }
        }
        group->placements[i].stage = stage;
        group->num_stages = group->num_stages > stage ? group->num_stages : stage + 1;
    }
    group->is_folded = group->num_stages > before;
}
