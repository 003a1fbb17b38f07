# Says what is in a cache of weights, or removes some of it. POSIX sh. Set before: CACHE, and M, a random word that heads
# sections; for `remove` also FOLDER and the lists MANIFESTS COMMITS BLOBS (hexadecimal words).

# shellcheck shell=sh disable=SC2154

LC_ALL=C
export LC_ALL

contents() {
    for file in "$CACHE"/manifests/*; do
        case $file in *.seen | *'/*') continue ;; esac
        [ -f "$file" ] || continue
        printf '\n%s manifest %s %s\n' "$M" "$(stat -L -c %Y -- "$file")" "${file##*/}"
        head -c 8388609 -- "$file"
    done
    printf '\n%s blobs\n' "$M"
    set --
    for file in "$CACHE"/*/*/blobs/*; do
        [ ! -f "$file" ] || set -- "$@" "$file"
    done
    [ $# = 0 ] || stat -L -c '%s %Y %n' -- "$@"
    printf '\n%s disk\n' "$M"
    (cd -- "$CACHE" 2>/dev/null && pwd -P && df -P -k .)
    printf '\n%s end\n' "$M"
}

# A content that any manifest names which came meanwhile stays.
remove() {
    root=$CACHE/$FOLDER
    [ -d "$root" ] || { echo removed 0 && return; }
    (: >>"$root/.deployer-lock") || { echo denied && return; }
    exec 9>>"$root/.deployer-lock"
    flock -n 9 || { echo busy && return; }
    for id in $MANIFESTS; do rm -f -- "$CACHE/manifests/$id" || { echo denied && return; }; done
    for commit in $COMMITS; do rm -rf -- "$root/snapshots/$commit"; done
    freed=0
    for blob in $BLOBS; do
        if grep -qsF -e "\"$blob\"" "$CACHE"/manifests/*; then continue; fi
        size=$(stat -L -c %s -- "$root/blobs/$blob" 2>/dev/null) || continue
        if rm -f -- "$root/blobs/$blob"; then freed=$((freed + size)); fi
    done
    rm -f -- "$root"/blobs/*.part
    rmdir -- "$root/blobs" 2>/dev/null && rm -rf -- "$root/refs" "$root/snapshots"
    echo "removed $freed"
}
