#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# cnipy, build @BUILD@
#
# A CNI plugin: this script, and behind it a zip archive that holds every plugin of
# the suite. The name by which the file is called chooses the plugin.
python='@PYTHON@'
build='@BUILD@'
root='@ROOT@'

# CPython gives its own files the lowest free descriptor and does not start at all when
# stdin is a directory. A stand-in that cannot be read or written gives a CNI error.
if [ -d /proc/self/fd ]; then
    if [ ! -e /proc/self/fd/0 ] || [ -d /proc/self/fd/0 ]; then exec 0>/dev/null; fi
    [ -e /proc/self/fd/1 ] || exec 1</dev/null
    [ -e /proc/self/fd/2 ] || exec 2>/dev/null
fi

if [ ! -x "$python" ]; then
    printf '{"cniVersion": "1.1.0", "code": 999, "msg": "%s", "details": "%s"}\n' \
        "start $python: no such interpreter" 'install python3, or build with --python'
    exit 1
fi
exec "$python" -I -S -X utf8 -c '
@GATE@' '
@RARE@' "$build" "$root" "$0" "$@"
exit 1
