/* What conv.c passes to conv.cl. Sizes and offsets are in elements. */
#ifndef CLV_KERNELS_CONV_PARAMS_H
#define CLV_KERNELS_CONV_PARAMS_H

#include "kernels_cl/clv.h"

/* conv_pad: input planes into padded planes, taken apart by phases of the stride. Axes are z, y, x.
 */
typedef struct conv_pad_params {
    clv_u32 in[3];         /* extents of an input plane */
    clv_u32 pitch[3];      /* extents of one phase of a padded plane */
    clv_u32 phases[3];     /* phases of a padded plane along each axis */
    clv_u32 step[3];       /* position p of phase f is input position ... */
    clv_u32 phase_step[3]; /* ... p * step + f * phase_step - lead */
    clv_i32 lead[3];
    clv_u32 rows, blocks;  /* rows that an item does; such blocks of rows in a padded plane */
    clv_u32 chunk, chunks; /* elements of each row that an item does; such chunks in a row */
    clv_u32 has_scale;
    clv_u32 unused;            /* params have no padding: their bytes are a key */
    clv_u32 channels, shuffle; /* of an image; input channels are taken in the order of a shuffle of
                                  so many parts, at least 1 */
} conv_pad_params;

/* conv */
typedef struct conv_params {
    clv_u64 in_batch, out_batch;        /* from one image to the next */
    clv_u64 weight_row, weight_channel; /* from one output, one input channel to the next */
    clv_u64 weight_group;
    clv_u32 in_plane, out_plane; /* from one channel to the next */
    clv_u32 group_in, group_out; /* channels of a group */
    clv_u32 groups;
    clv_u32 pitch_y, pitch_x; /* extents of one phase of an input plane, but for z */
    clv_u32 out_y, out_x;     /* extents of an output plane, but for z */
    clv_u32 out_step[3];      /* output positions of a phase lie this far apart */
    clv_u32 num_phases;       /* of the output */
    clv_u32 num_row_blocks;   /* items: blocks of CONV_ROWS output channels of a group ... */
    clv_u32 num_tile_blocks;  /* ... by blocks of `tiles` tiles of positions */
    clv_u32 tiles;
    clv_u32 tiles_first; /* consecutive items go along the plane (GPUs), else along channels */
    clv_u32 is_linear;   /* output planes are laid out as input planes are: position = offset */
    clv_u32 has_bias;
    clv_u32 unused; /* params have no padding: their bytes are a key */
} conv_params;

/* The table that goes with conv, of clv_u32: for each output phase CONV_PHASE_WORDS words, then for
 * each tap two words: its offset in the input plane, its offset in the weights of one channel. */
enum {
    CONV_PHASE_TAP,      /* first tap */
    CONV_PHASE_NUM_TAPS, /* taps */
    CONV_PHASE_Z,        /* output positions */
    CONV_PHASE_Y,
    CONV_PHASE_X,
    CONV_PHASE_OFFSET, /* of the phase in the output plane */
    CONV_PHASE_WORDS = 8,
    CONV_ROWS = 8,    /* output channels of a tile */
    CONV_VECTORS = 2, /* vectors of positions of a tile */
};

#endif
