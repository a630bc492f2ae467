//! Copies within sections of x86-64, where nothing may be called.

/// Copies `$count` words, four at a time and then one by one. Uses `{left}` and
/// `{wide}`.
macro_rules! copy_words {
    ($from:literal, $to:literal, $count:literal) => {
        concat!(
            "mov {left:e}, ",
            $count,
            "\n",
            "27: sub {left:e}, 4\n",
            "jb 28f\n",
            "movups {wide}, xmmword ptr [",
            $from,
            " + 8*{left} + 16]\n",
            "movups xmmword ptr [",
            $to,
            " + 8*{left} + 16], {wide}\n",
            "movups {wide}, xmmword ptr [",
            $from,
            " + 8*{left}]\n",
            "movups xmmword ptr [",
            $to,
            " + 8*{left}], {wide}\n",
            "jmp 27b\n",
            "28: add {left:e}, 4\n",
            "jz 29f\n",
            "33: movq {wide}, qword ptr [",
            $from,
            " + 8*{left} - 8]\n",
            "movq qword ptr [",
            $to,
            " + 8*{left} - 8], {wide}\n",
            "dec {left:e}\n",
            "jnz 33b\n",
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
            "cmp {left}, 8\n",
            "jb 33f\n",
            "cmp {left}, 64\n",
            "jb 28f\n",
            "27: movups {wide}, xmmword ptr [",
            $from,
            " + {left} - 16]\n",
            "movups xmmword ptr [",
            $to,
            " + {left} - 16], {wide}\n",
            "sub {left}, 16\n",
            "cmp {left}, 64\n",
            "jae 27b\n",
            "28: sub {left}, 8\n",
            "mov {temp}, qword ptr [",
            $from,
            " + {left}]\n",
            "mov qword ptr [",
            $to,
            " + {left}], {temp}\n",
            "cmp {left}, 8\n",
            "ja 28b\n",
            "mov {temp}, qword ptr [",
            $from,
            "]\n",
            "mov qword ptr [",
            $to,
            "], {temp}\n",
            "jmp 29f\n",
            "33: test {left}, {left}\n",
            "jz 29f\n",
            "34: mov {temp:l}, byte ptr [",
            $from,
            " + {left} - 1]\n",
            "mov byte ptr [",
            $to,
            " + {left} - 1], {temp:l}\n",
            "dec {left}\n",
            "jnz 34b\n",
            "29:"
        )
    };
}
