/* A machine under construction: arrays that grow, names that are made unique. Used by the parsers
 * of this folder. */
#ifndef CLV_MACHINE_BUILDER_H
#define CLV_MACHINE_BUILDER_H

#include "host/machine/machine.h"

typedef struct clv_machine_builder {
    clv_machine *machine; /* owned until taken */
    size_t capacity_memories, capacity_processors, capacity_units, capacity_links;
} clv_machine_builder;

/* A guard against text that asks for absurd machines ("core*1000000000"). */
enum { CLV_MAX_UNITS = 65536, CLV_MAX_LINKS = 1 << 20 };

clv_status *clv_machine_builder_init(clv_machine_builder *builder, const char *name) CLV_CHECKED;
void clv_machine_builder_deinit(clv_machine_builder *builder);
/* Copies of the values, names included. NO_MEMORY, or MALFORMED beyond the limits. */
clv_status *clv_machine_add_memory(
    clv_machine_builder *builder, const clv_memory *memory, uint32_t *out_index) CLV_CHECKED;
clv_status *clv_machine_add_processors(
    clv_machine_builder *builder, const clv_processors *processors,
    uint32_t *out_index) CLV_CHECKED;
clv_status *clv_machine_add_unit(
    clv_machine_builder *builder, const clv_unit *unit, uint32_t *out_index) CLV_CHECKED;
clv_status *clv_machine_add_link(clv_machine_builder *builder, const clv_link *link) CLV_CHECKED;
/* Verifies, then hands the machine over. */
clv_status *clv_machine_builder_take(clv_machine_builder *builder, clv_machine **out_machine)
    CLV_CHECKED;

/* Defaults: no limit anywhere, speed 1. */
clv_memory clv_memory_default(const char *name);
clv_unit clv_unit_default(const char *name, const char *kind);
clv_link clv_link_default(const char *name, uint32_t from, uint32_t to);

#endif
