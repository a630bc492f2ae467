//! Copies within sections of aarch64, where nothing may be called.

/// Copies `$count` words, two at a time and then one. Uses `{left}`, the frame's
/// `{scratch}` and `{wide}`.
macro_rules! copy_words {
    ($from:literal, $to:literal, $count:literal) => {
        concat!(
            "mov {left:w}, ",
            $count,
            "\n",
            "27: subs {left}, {left}, #2\n",
            "b.lo 28f\n",
            "add {scratch}, ",
            $from,
            ", {left}, lsl #3\n",
            "ldr {wide:q}, [{scratch}]\n",
            "add {scratch}, ",
            $to,
            ", {left}, lsl #3\n",
            "str {wide:q}, [{scratch}]\n",
            "b 27b\n",
            "28: add {left}, {left}, #2\n",
            "cbz {left}, 29f\n",
            "ldr {scratch}, [",
            $from,
            "]\n",
            "str {scratch}, [",
            $to,
            "]\n",
            "29:"
        )
    };
}

/// Copies `{bytes}` bytes, the last ones first. From 64 bytes on sixteen at a time;
/// fewer by words, since their owner has often just stored them by words, and a wider
/// load must wait until those stores have left the store buffer. The first word may be
/// copied twice. Uses `{left}`, `{temp}` and `{wide}`.
macro_rules! copy_bytes {
    ($from:literal, $to:literal) => {
        concat!(
            "mov {left}, {bytes}\n",
            "cmp {left}, #8\n",
            "b.lo 33f\n",
            "cmp {left}, #64\n",
            "b.lo 28f\n",
            "27: sub {left}, {left}, #16\n",
            "ldr {wide:q}, [",
            $from,
            ", {left}]\n",
            "str {wide:q}, [",
            $to,
            ", {left}]\n",
            "cmp {left}, #64\n",
            "b.hs 27b\n",
            "28: sub {left}, {left}, #8\n",
            "ldr {temp}, [",
            $from,
            ", {left}]\n",
            "str {temp}, [",
            $to,
            ", {left}]\n",
            "cmp {left}, #8\n",
            "b.hi 28b\n",
            "ldr {temp}, [",
            $from,
            "]\n",
            "str {temp}, [",
            $to,
            "]\n",
            "b 29f\n",
            "33: cbz {left}, 29f\n",
            "34: sub {left}, {left}, #1\n",
            "ldrb {temp:w}, [",
            $from,
            ", {left}]\n",
            "strb {temp:w}, [",
            $to,
            ", {left}]\n",
            "cbnz {left}, 34b\n",
            "29:"
        )
    };
}
