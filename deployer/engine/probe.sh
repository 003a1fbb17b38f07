# Says what this host is, in sections headed by "$M NAME ...", $M being a random word that nothing on the host can know.
# POSIX sh (dash, busybox ash); any tool may be missing. Only reads.
# Set before: M, GPU (yes|no), QUERIES, APPS, ROWS, STATE, TOOLS, LOOKED; `folders` is a function that may call `stamps`,
# and `copies` one that may call `search`.
# Sourced from stdin, so nothing here may read stdin: `main` is called with </dev/null.

# shellcheck shell=sh disable=SC2012,SC2086,SC2088,SC2153,SC2209

LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/wsl/lib
export LC_ALL PATH

section() { printf '\n%s %s\n' "$M" "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# within SECONDS COMMAND...   (busybox before 1.30 has another `timeout`)
within() {
    seconds=$1
    shift
    if [ "$timed" = yes ]; then timeout "$seconds" "$@"; else "$@"; fi
}

# A command costs about a millisecond, which every plan pays on every host; reading with the shell's own means costs less.
first_lines() {
    count=0
    while [ $count -lt "$1" ] && read -r line; do
        printf '%s\n' "$line"
        count=$((count + 1))
    done <"$2"
}

host() {
    section uname
    uname -snrm
    section id
    id
    section os
    first_lines 100 /etc/os-release || first_lines 100 /usr/lib/os-release
    section cpus
    while read -r name value; do
        case $name in Cpus_allowed_list:) echo "$value" ;; esac
    done </proc/self/status
    section memory
    first_lines 6 /proc/meminfo
    section time
    date -u +%Y-%m-%dT%H:%M:%SZ
    section fstab
    first_lines 200 /etc/fstab
    section docker-waits
    grep -his '^RequiresMountsFor' /etc/systemd/system/docker.service.d/*.conf /etc/systemd/system/docker.service
    section ephemeral
    first_lines 1 /proc/sys/net/ipv4/ip_local_port_range
    section tools
    for tool in $TOOLS; do
        ! has "$tool" || { [ "$tool" = flock ] && ! waits; } || echo "$tool"
    done
}
# busybox has a flock that cannot wait; as in lock_script.sh
waits() { case $(flock --version) in *util-linux*) ;; *) return 1 ;; esac; }

# What is set; `sshd -T` would also say the defaults, but takes as long as all the rest.
sshd_settings() {
    if [ -r /etc/ssh/sshd_config ]; then section sshd read; else section sshd hidden; fi
    grep -hiE '^[[:space:]]*(max|allow|disable|match)' /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config
}

# Listening sockets as FILE ADDRESS:PORT INODE.
listening() {
    set --
    for table in tcp tcp6 udp udp6; do
        [ -r "/proc/net/$table" ] && set -- "$@" "/proc/net/$table"
    done
    if has awk; then
        awk '$4 == (FILENAME ~ /tcp/ ? "0A" : "07") { print FILENAME, $2, $10 }' "$@"
        return
    fi
    for table; do
        case $table in */tcp*) listens=0A ;; *) listens=07 ;; esac
        while read -r _ address _ state _ _ _ _ _ inode _; do
            [ "$state" = "$listens" ] && echo "$table $address $inode"
        done <"$table"
    done
}

# Without ss: PID INODE NAME of the processes whose sockets this user may see.
socket_fds() {
    ls -l /proc/[0-9]*/fd | awk -v inodes="$1" '
        BEGIN { n = split(inodes, list, " "); for (i = 1; i <= n; i++) wanted["socket:[" list[i] "]"] = list[i] }
        /^\/proc\// { split($0, part, "/"); pid = part[3] }
        $NF in wanted { print pid, wanted[$NF] }' | sort -u |
        while read -r pid inode; do
            name=
            read -r name <"/proc/$pid/comm"
            printf '%s %s %s\n' "$pid" "$inode" "$name"
        done
}

sockets() {
    section sockets
    table=$(listening)
    printf '%s\n' "$table"
    if has ss && owners=$(ss -Htulnpe); then
        section ss
        printf '%s\n' "$owners"
        named_first
        containers "$pids"
    elif has awk; then
        section fds
        owners=$(socket_fds "$(printf '%s\n' "$table" | awk '{ printf "%s ", $3 }')")
        printf '%s\n' "$owners"
        containers "$(printf '%s\n' "$owners" | cut -d' ' -f1)"
    fi
}

# The process that each line of ss in $owners names first, in $pids.
named_first() {
    pids=
    while IFS= read -r line; do
        case $line in *'",pid='*) ;; *) continue ;; esac
        rest=${line#*\",pid=}
        pids="$pids ${rest%%[!0-9]*}"
    done <<EOF
$owners
EOF
}

# containers PIDS: what says which containers processes are in.
containers() {
    section cgroups
    seen=' '
    for pid in $1; do
        case $seen in *" $pid "*) continue ;; esac
        seen="$seen$pid "
        while IFS= read -r line; do
            [ ${#line} -lt 64 ] || printf '%s\n' "/proc/$pid/cgroup:$line" # as long as an id is
        done <"/proc/$pid/cgroup"
    done
}

# The nearest of a path and its parents that is there, in $there.
nearest() {
    there=$1
    while [ ! -e "$there" ]; do
        case $there in
            ?*/*) there=${there%/*} ;;
            *) there=/ ;;
        esac
    done
}

bytes() { stat -L -c %s "$1" || ls -ldnL "$1" | { read -r _ _ _ _ size _ && echo "$size"; }; }

entries() {
    count=0
    for entry in "$1"/*; do
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        printf '%s\0' "${entry##*/}"
        count=$((count + 1))
        [ $count -lt 1000 ] || break
    done
}

# model NUMBER PATH KIND: the beginning of what says which model it is.
model() {
    case $3:$2 in
        file:*.gguf)
            section gguf "$1"
            head -c 16384 "$2"
            ;;
        directory:*)
            if [ -f "$2/config.json" ]; then
                section config "$1"
                head -c 65537 "$2/config.json"
            fi
            for file in "$2"/*.gguf; do
                [ -f "$file" ] || continue
                section gguf "$1"
                head -c 16384 "$file"
                break
            done
            ;;
    esac
}

# In $path.
expanded() {
    path=$1
    case $path in
        '~') path=$HOME ;;
        '~/'*) path=$HOME/${path#'~/'} ;;
    esac
}

# look NUMBER PATH: kind and size; the real path and a directory's entries, each ended by NUL.
look() {
    expanded "$2"
    size=
    nearest "$path"
    if [ ! -e "$path" ]; then
        if [ -d "$there" ] && [ ! -x "$there" ]; then kind=denied; else kind=missing; fi
    elif [ -f "$path" ]; then
        kind=file
        size=$(bytes "$path")
    elif [ -d "$path" ]; then
        if [ -r "$path" ] && [ -x "$path" ]; then kind=directory; else kind=denied; fi
    else
        kind=other
    fi
    if [ -w "$there" ]; then may=w; else may=r; fi
    section path "$1" "$kind" "$size" "$may"
    if [ -e "$path" ]; then printf '%s\0' "$(readlink -f "$path")"; fi
    if [ "$kind" = directory ]; then entries "$path"; fi
    model "$1" "$path" "$kind"
}

# The disks under all paths, by one df; each by its own where that fails for one of them.
disks() {
    for asked; do
        expanded "$asked"
        nearest "$path"
        shift
        set -- "$@" "$there"
    done
    number=0
    if table=$(df -P -k "$@"); then
        while IFS= read -r line; do
            [ $number = 0 ] || { section disk $((number - 1)) && printf '%s\n' "$line"; }
            number=$((number + 1))
        done <<EOF
$table
EOF
        return
    fi
    for there; do
        section disk $number
        df -P -k "$there"
        number=$((number + 1))
    done
}

# Size, time and path of each file in these folders, by one stat.
stamps() {
    section folders
    for folder; do
        shift
        for entry in "$folder"/*; do
            [ ! -f "$entry" ] || set -- "$@" "$entry"
        done
    done
    [ $# = 0 ] || stat -L -c '%s %Y %n' -- "$@"
}

# copy PLACE ROOT FOLDER COMMIT: the files in FOLDER, links followed, and what was read of them once. Hidden ones are
# what tools keep for themselves.
copy() {
    copies=$((copies + 1))
    section copy $copies "$1" "$4"
    printf '%s\n' "$2"
    (cd "$3" && find -L . -name '.?*' -prune -o -type f -exec stat -L -c '%s %Y %i %n' {} + | head -n 2000)
    model "c$copies" "$3" directory
    sum=$(printf %s "$3" | sha256sum)
    if [ -f "$STATE/model_dirs/${sum%% *}" ]; then
        section read "c$copies"
        head -c 4194304 "$STATE/model_dirs/${sum%% *}"
    fi
}

# Copies of models at these places: folders as `hf download --local-dir` leaves them, or of the Hub's own layout.
search() {
    copies=0 place=0 home=$HOME
    if [ -n "$SUDO_USER" ] && has getent; then home=$(getent passwd "$SUDO_USER" | cut -d: -f6); fi
    for asked; do
        path=$asked
        case $path in '~/'*) path=$home/${path#'~/'} ;; esac
        if [ -d "$path/snapshots" ]; then
            for folder in "$path"/snapshots/*; do
                [ ! -d "$folder" ] || copy $place "$path" "$folder" "${folder##*/}"
            done
            section refs $place
            for ref in "$path"/refs/*; do
                commit=
                [ ! -f "$ref" ] || read -r commit <"$ref"
                [ -z "$commit" ] || printf '%s %s\n' "${ref##*/}" "$commit"
            done
        elif [ -d "$path" ]; then
            copy $place "$path" "$path" ''
        fi
        place=$((place + 1))
    done
}

state() {
    nearest "$STATE"
    section state
    if [ -w "$there" ] && [ -x "$there" ]; then echo writable; else echo denied; fi
    count=0
    for lock in "$STATE"/*/lock; do
        [ -f "$lock" ] || continue
        project=${lock%/lock}
        section lock "${project##*/}"
        head -c 4096 "$lock"
        count=$((count + 1))
        [ $count -lt 100 ] || break
    done
    count=0
    for record in "$STATE"/*/hosts; do
        [ -f "$record" ] || continue
        project=${record%/hosts}
        section record "${project##*/}"
        head -c 262145 "$record"
        count=$((count + 1))
        [ $count -lt 100 ] || break
    done
    count=0
    for answered in "$STATE"/*/answered; do
        [ -f "$answered" ] || continue
        project=${answered%/answered}
        section answered "${project##*/}"
        tail -c 131072 "$answered"
        count=$((count + 1))
        [ $count -lt 100 ] || break
    done
}

# query COMMAND...: the richest query of $richest that this driver knows.
query() {
    for fields in $richest; do
        said=$(within 30 "$@" --query-gpu="$fields" --format=csv,noheader,nounits 2>&1)
        code=$?
        case $said in *'is not a valid field'*) ;; *) break ;; esac
    done
    section gpus "$code" "$fields"
    printf '%s\n' "$said"
}

query_all() {
    query "$1"
    case $said in
        *'Unable to determine the device handle'*) # one GPU fell off the bus and hides the others
            for bus in /proc/driver/nvidia/gpus/*; do
                query "$1" -i "${bus##*/}"
            done
            ;;
    esac
}

topology() {
    set -- "$1" /dev/nvidia[0-9]*
    if [ $# != 2 ] || [ ! -e "$2" ]; then within 15 "$1" topo -m; fi # not for a single GPU
}

# Of GPUs in MIG mode.
slices() {
    section slices
    within 30 "$1" -L
    section xml
    within 30 "$1" -q -x | head -c 4000000
}

# Which node of the host each card's slot belongs to.
nodes() {
    for node in /sys/bus/pci/drivers/nvidia/*:*/numa_node; do
        [ -r "$node" ] || continue
        read -r number <"$node"
        node=${node%/numa_node}
        echo "${node##*/} $number"
    done
}

# All questions at once, each in a pipe of its own: without persistence mode every call alone wakes the GPUs up.
nvidia() {
    query_all "$1" | {
        exec 3<&0
        within 30 "$1" --query-compute-apps="$APPS" --format=csv,noheader,nounits 2>&1 </dev/null | {
            exec 4<&0
            within 30 "$1" --query-remapped-rows="$ROWS" --format=csv,noheader </dev/null | head -n 300 | {
                exec 6<&0
                within 30 "$1" </dev/null | head -n 30 | {
                    exec 5<&0
                    section topology
                    topology "$1" </dev/null
                    section header
                    cat <&5
                    gpus=$(cat <&3)
                    printf '%s\n' "$gpus"
                    case $gpus in *', Enabled, '*) slices "$1" </dev/null ;; esac
                    section rows
                    cat <&6
                    section apps
                    apps=$(cat <&4)
                    printf '%s\n' "$apps"
                    containers "$(printf '%s\n' "$apps" | sed -n 's/^[GM][PI][UG]-[^,]*, \([0-9][0-9]*\),.*/\1/p')"
                }
            }
        }
    }
}

# Others' hardware, and NVIDIA's without its tools. Starts no process.
other_gpus() {
    section vendors
    for driver in /proc/driver/nvidia/version /dev/kfd /dev/davinci_manager /dev/accel/accel0; do
        [ ! -e "$driver" ] || echo "$driver"
    done
    for tool in amd-smi rocm-smi npu-smi hl-smi xpu-smi mthreads-gmi cnmon ixsmi hy-smi mx-smi; do
        ! has "$tool" || echo "$tool"
    done
    for vendor in /sys/bus/pci/devices/*/vendor; do
        read -r number <"$vendor" && read -r class <"${vendor%vendor}class" &&
            case $number$class in 0x10de0x0300* | *0x0302* | *0x1200*) echo "pci $number" ;; esac
    done
}

# What `doctor` wrote down of the flags of images, the latest first; files are named by the image's id.
image_flags() {
    [ -d "$STATE/image_flags" ] || return 0
    ls -t "$STATE/image_flags" | head -n 6 | while IFS= read -r file; do
        case $file in *[!0-9a-f]*) continue ;; esac
        section flags "$file"
        head -c 24576 "$STATE/image_flags/$file"
    done
}

# What `nim-profiles` wrote down of the profiles of NIM images, in the same way.
nim_profiles() {
    [ -d "$STATE/nim_profiles" ] || return 0
    ls -t "$STATE/nim_profiles" | head -n 6 | while IFS= read -r file; do
        case $file in *[!0-9a-f]*) continue ;; esac
        section profiles "$file"
        head -c 65536 "$STATE/nim_profiles/$file"
    done
}

gpus() {
    other_gpus
    section driver
    richest=${QUERIES#* }
    if read -r line </proc/driver/nvidia/version; then
        printf '%s\n' "$line"
        for word in $line; do # the richest query is for R565 on
            case $word in 56[5-9].* | 5[7-9]?.* | [6-9]??.* | [1-9]???.*) richest=$QUERIES ;; esac
        done
    fi
    if smi=$(command -v nvidia-smi); then
        section xids
        dmesg | grep -F 'NVRM: Xid' | tail -n 200
        section nodes
        nodes
        timed=no
        ! timeout 5 true || timed=yes
        nvidia "$smi"
    fi
}

main() {
    host
    sshd_settings
    sockets
    number=0
    for asked; do
        [ $number -lt "$LOOKED" ] || break
        look "$number" "$asked"
        number=$((number + 1))
    done
    [ $# = 0 ] || disks "$@"
    state
    folders
    copies
    image_flags
    nim_profiles
    if [ "$GPU" = no ]; then other_gpus; else gpus; fi
    section end
}
