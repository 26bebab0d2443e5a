#include "tests/exec/net.h"

#include <stdio.h>

enum { MAX_MAPS = 16, NUM_STEPS = 9 };

typedef struct map {
    clv_tensor_id id;
    int64_t channels, height, width;
} map;

typedef struct maker {
    clv_net net;
    map maps[MAX_MAPS];
    size_t num_maps;
    int count;
} maker;

static int64_t draw(maker *m, int64_t low, int64_t high) {
    return low + (int64_t)clv_random_below(&m->net.random, (uint64_t)(high - low + 1));
}

static const char *name_of(maker *m, char buffer[24], const char *what) {
    snprintf(buffer, 24, "%s%d", what, m->count++ % 1000);
    return buffer;
}

static void keep(maker *m, clv_tensor_id id, int64_t channels, int64_t height, int64_t width) {
    m->maps[m->num_maps++] = (map){id, channels, height, width};
}

static void add_conv(maker *m, map in) {
    static const int64_t channels[] = {5, 16, 24, 32, 64};
    char name[24], weight[24], attrs[96];
    int64_t outputs = channels[draw(m, 0, 4)], kernel = draw(m, 0, 2) == 0 ? 1 : 3, groups = 1;
    int64_t stride = draw(m, 0, 3) == 0 ? 2 : 1, pad = kernel / 2;
    if (draw(m, 0, 3) == 0) {
        groups = outputs = in.channels;
    }
    clv_tensor_id w = clv_net_weight(
        &m->net, name_of(m, weight, "w"), DIMS(outputs, in.channels / groups, kernel, kernel));
    snprintf(
        attrs, sizeof attrs, "group=%d pads=%d,%d,%d,%d strides=%d,%d", (int)groups, (int)pad,
        (int)pad, (int)pad, (int)pad, (int)stride, (int)stride);
    clv_tensor_id id =
        clv_net_node(&m->net, "Conv", name_of(m, name, "conv"), IDS(in.id, w), attrs);
    keep(m, id, outputs, (in.height - 1) / stride + 1, (in.width - 1) / stride + 1);
}

static void add_other(maker *m, map in) {
    char name[24];
    const map *mate = NULL;
    for (size_t i = 0; i < m->num_maps; i++) {
        const map *other = &m->maps[i];
        bool fits = other->height == in.height && other->width == in.width && other->id != in.id;
        mate = fits && other->channels == in.channels ? other : mate;
    }
    switch (draw(m, 0, 4)) {
    case 0:
        keep(
            m, clv_net_node(&m->net, "Sigmoid", name_of(m, name, "act"), IDS(in.id), ""),
            in.channels, in.height, in.width);
        return;
    case 1:
        keep(
            m,
            clv_net_node(
                &m->net, "MaxPool", name_of(m, name, "pool"), IDS(in.id),
                "kernel_shape=3,3 pads=1,1,1,1"),
            in.channels, in.height, in.width);
        return;
    case 2:
        keep(
            m,
            clv_net_node(
                &m->net, "Concat", name_of(m, name, "cat"),
                IDS(in.id, mate != NULL ? mate->id : in.id), "axis=1"),
            2 * in.channels, in.height, in.width);
        return;
    case 3:
        keep(
            m,
            clv_net_node(
                &m->net, "Transpose", name_of(m, name, "turn"), IDS(in.id), "perm=0,1,3,2"),
            in.channels, in.width, in.height);
        return;
    default:
        keep(
            m,
            clv_net_node(
                &m->net, "Add", name_of(m, name, "sum"),
                IDS(in.id, mate != NULL ? mate->id : in.id), ""),
            in.channels, in.height, in.width);
    }
}

/* Nodes read what came lately, so that most of them end in the outputs. */
clv_status *clv_net_random(uint64_t seed, clv_graph **out_graph) {
    maker m = {.num_maps = 0};
    clv_net_init(&m.net, seed);
    int64_t channels = draw(&m, 0, 1) == 0 ? 3 : 16, height = draw(&m, 1, 15);
    int64_t width = draw(&m, 1, 15), images = draw(&m, 1, 2);
    clv_tensor_id in =
        clv_net_input(&m.net, "in", CLV_FLOAT32, DIMS(images, channels, height, width));
    keep(&m, in, channels, height, width);
    for (int i = 0; i < NUM_STEPS; i++) {
        map from = m.maps[m.num_maps - 1 - (size_t)draw(&m, 0, m.num_maps > 2 ? 1 : 0)];
        if (draw(&m, 0, 1) == 0 || from.channels > 200) {
            add_conv(&m, from);
        } else {
            add_other(&m, from);
        }
    }
    clv_net_output(&m.net, m.maps[m.num_maps - 1].id);
    clv_net_output(&m.net, m.maps[m.num_maps - 2].id);
    return clv_net_finish(&m.net, out_graph);
}
