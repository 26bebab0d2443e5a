/* Who may do whose work where steps have no fixed order: the lanes of units that are alike and on
 * one memory are a crew, and any of them runs what is planned for any of these units. A device with
 * queues, and a unit behind a link that is declared, are crews of their own.
 */
#ifndef CLV_EXEC_CREWS_H
#define CLV_EXEC_CREWS_H

#include "host/exec/join.h"
#include "host/exec/unit.h"

/* Lanes of a device with queues: each feeds queues of its own and waits for what they are given, so
 * that what one does goes on beside what another does. */
enum { CLV_FEEDERS = 2 };

typedef struct clv_crew_lane {
    uint32_t unit, device; /* of the unit's devices */
    double speed;          /* that is declared for the unit */
    bool has_queues;
} clv_crew_lane;

typedef struct clv_crews {
    uint32_t *crew_of_unit; /* [num_units]; CLV_NO_INDEX: it has no steps */
    uint32_t *first_lane;   /* [num_crews + 1] */
    clv_crew_lane *lanes;   /* by crew; in it the faster ones first, then by unit */
    uint32_t num_crews, num_units;
} clv_crews;

/* units  [num_units], as the steps of `joined` name them. NO_MEMORY. */
clv_status *clv_crews_create(
    const clv_joined *joined, const clv_exec_unit *units, uint32_t num_units,
    clv_crews *out_crews) CLV_CHECKED;
void clv_crews_deinit(clv_crews *crews);

static inline uint32_t clv_crew_size(const clv_crews *crews, uint32_t crew) {
    return crews->first_lane[crew + 1] - crews->first_lane[crew];
}

#endif
