/* Units that can run something of a problem, dealt to groups that each run all of it. */
#ifndef CLV_PARTITION_DEAL_H
#define CLV_PARTITION_DEAL_H

#include "host/base/arena.h"
#include "partition/policy.h"

typedef enum clv_deal {
    CLV_DEAL_NEIGHBOURS, /* those that follow one another together */
    CLV_DEAL_KINDS,      /* each sort of unit round the groups, which is how copies of an
                            accelerator's functional units are told apart */
    CLV_DEAL_SPEED,      /* all sorts: to each group what it lacks, then to the slowest */
    CLV_NUM_DEALS
} clv_deal;

/* Tasks that the same units can run. */
typedef struct clv_task_sort {
    uint32_t task; /* one of them */
    uint32_t kind; /* of unit (clv_costs); sorts are in this order */
    double *us;    /* [num_columns]: all of them on a unit; INFINITY: cannot */
    double least_us;
} clv_task_sort;

typedef struct clv_dealer {
    clv_arena arena;
    const clv_problem *problem; /* borrowed */
    uint32_t *units;            /* those that can run something or that a pin names, in order */
    uint32_t num_units;
    clv_task_sort *sorts; /* of tasks that no pin places */
    uint32_t num_sorts;
    uint32_t *first_of_kind; /* [num_kinds + 2] into sorts */
} clv_dealer;

/* Finds units and sorts of tasks. With `must_run_all` units that cannot run every task are left
 * out; where that leaves none, all stay, and the policy of the groups says what is wrong. */
clv_status *clv_dealer_init(const clv_problem *problem, bool must_run_all, clv_dealer *out_dealer)
    CLV_CHECKED;
void clv_dealer_deinit(clv_dealer *dealer);
/* The group of each of the dealer's units; [num_units]. A group may stay empty, or unable to run
 * everything. */
clv_status *clv_deal_units(
    const clv_dealer *dealer, clv_deal deal, uint32_t num_groups, uint32_t *out_groups) CLV_CHECKED;

#endif
