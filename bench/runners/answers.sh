# A tool started once for each of several inputs, and its outputs joined, in plain sh.
#
# $1: number of inputs. $2: how many outputs go into one file. Then the bytes of one input of
# each tensor, "--", the tool and its flags. samples_N.bin has all inputs of tensor N one
# after another; the tool reads input_N.bin and writes output.bin. Leaves answers_0.bin,
# answers_1.bin ... Before each start both streams get a line "edgebench-answer I". It ends
# with the first tool that does, or with a code that is listed in benchmark_answers.py.
items=$1 most=$2
shift 2
sizes=
while [ "$1" != -- ]; do
    sizes="$sizes $1"
    shift
done
shift
item=0
while [ "$item" -lt "$items" ]; do
    tensor=0
    for size in $sizes; do
        dd if="samples_$tensor.bin" of="input_$tensor.bin" bs="$size" skip="$item" count=1 \
            2> /dev/null || exit 71
        tensor=$((tensor + 1))
    done
    rm -f output.bin
    echo "edgebench-answer $item"
    echo "edgebench-answer $item" >&2
    "$@" || exit
    [ -f output.bin ] || exit 72
    cat output.bin >> "answers_$((item / most)).bin" || exit 73
    item=$((item + 1))
done
