# The lease of a project on this host. Arguments: VERB DIRECTORY APPLY HOLDER LEASE STALE
#   take     makes the lock ours if there is none, if it is ours already, or if its checksum is STALE
#   renew    extends it if it is ours
#   release  puts it aside if it is ours
#   look     says whose it is
#   seize    puts it aside if its checksum is STALE, whoever's it is
# HOLDER is JSON text. First word said: taken released lost held free, or what went wrong.
# A lease ends by this host's uptime, which nobody sets; what stands there as a date is for people.
# The kernel lets go of both flocks whatever dies. `lock.turn` is held by whoever runs this, for a moment; `lock.changes`
# by every change that the holder has made here (guard_script.sh), and alone by who takes the lock from another: so no
# change of an earlier holder goes on once the lock is the next one's. They are for their owner only: else any user of
# the host could hold them for ever.

# shellcheck shell=sh

verb=$1 dir=$2 apply=$3 holder=$4 lease=$5 stale=$6
lock=$dir/lock spare=$dir/lock.spare turn=$dir/lock.turn changes=$dir/lock.changes whole=1024
LC_ALL=C
export LC_ALL
umask 022

stop() {
    echo "$@"
    exit 0
}

# write SINCE: a whole lock or none. Locks are padded to one size, and a lock that is released is kept as the spare: on a
# full disk the block that a file has is written again.
write() {
    expires=$(date -u -d "@$((now + lease))" +%Y-%m-%dT%H:%M:%SZ)
    text=$(printf '{"holder":%s,"apply":"%s","since":"%s","expires":"%s","boot":"%s","until":"%s"}' \
        "$holder" "$apply" "$1" "$expires" "$boot" "$((up + lease))")
    padded | cat >"$lock.new.$$" && mv -f -- "$lock.new.$$" "$lock" && return
    rm -f -- "$lock.new.$$"
    if is_whole "$lock" && padded | cat 1<>"$lock"; then return; fi
    if is_whole "$spare" && padded | cat 1<>"$spare" && mv -f -- "$spare" "$lock"; then return; fi
    stop no-write
}
# for `cat`, which says what it dies of: the shell's own printf does not
padded() { printf "%-$((whole - 1))s\n" "$text"; }
is_whole() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(wc -c <"$1")" -eq $whole ]; }

case $(flock --version 2>/dev/null) in *util-linux*) ;; *) stop no-flock ;; esac # busybox has one that cannot wait
case $verb in
    take) mkdir -p -- "$dir" || stop no-directory ;;
    look | seize) [ -d "$dir" ] || stop free ;;
    *) [ -d "$dir" ] || stop lost ;;
esac
for file in "$turn" "$changes"; do
    [ -f "$file" ] && [ ! -L "$file" ] && continue
    # never what somebody else made since that look: each would lock a file of its own
    if [ -L "$file" ] || { [ -e "$file" ] && [ ! -f "$file" ]; }; then rm -rf -- "$file"; fi
    (umask 077 && : >>"$file") || stop no-write
done
# a failed redirection of `exec` would end the shell without a word
{ true <"$turn" && true <"$changes"; } || stop no-directory
exec 9<"$turn" 8<"$changes"
flock -w 10 9 || stop busy
# nobody's change goes on, and none begins before this ends
alone() { flock -w 10 8; }

now=$(date +%s)
read -r up _ </proc/uptime && read -r boot </proc/sys/kernel/random/boot_id || stop no-proc
up=${up%%.*}
mine=no sum=none
if [ -L "$lock" ]; then
    sum=odd
elif [ -f "$lock" ]; then
    sum=c$(head -c 4096 -- "$lock" | cksum | tr -d ' \n')
    if head -c 4096 -- "$lock" | grep -qF "\"apply\":\"$apply\""; then mine=yes; fi
elif [ -e "$lock" ]; then
    sum=odd
fi

held() {
    echo "held $now $(stat -c %Y -- "$lock" 2>/dev/null || echo "$now") $sum $up $boot"
    [ "$sum" = odd ] || head -c 4096 -- "$lock"
    exit 0
}

case $verb:$mine in
    look:*)
        [ "$sum" != none ] || stop free
        held
        ;;
    seize:*)
        [ "$sum" != none ] && [ "$sum" = "$stale" ] || stop lost
        alone || stop busy
        if [ "$sum" = odd ]; then rm -rf -- "$lock"; else mv -f -- "$lock" "$spare"; fi || stop no-write
        stop released
        ;;
    take:no)
        [ "$sum" = none ] || [ "$sum" = "$stale" ] || held
        alone || stop busy
        [ "$sum" != odd ] || rm -rf -- "$lock"
        rm -f -- "$lock".new.* "$dir"/hosts.new.* # of who died while writing
        write "$(date -u -d "@$now" +%Y-%m-%dT%H:%M:%SZ)"
        stop taken
        ;;
    take:yes | renew:yes)
        write "$(head -c 4096 -- "$lock" | sed -n 's/.*"since":"\([0-9TZ:-]*\)".*/\1/p' | head -n 1)"
        stop taken
        ;;
    release:yes)
        mv -f -- "$lock" "$spare" || stop no-write
        stop released
        ;;
    *) stop lost ;;
esac
