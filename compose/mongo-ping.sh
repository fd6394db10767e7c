#!/bin/bash
# Health check: sends MongoDB's `ping` as raw bytes (OP_MSG {ping: 1, $db: "admin"}) and expects {ok: 1}.
#
# `mongosh --eval` would be shorter, but it starts Node.js every time: about half a second of CPU time per check.
# Uses the container's own address instead of 127.0.0.1: on its first start, the image runs a temporary server on
# 127.0.0.1 to create the user, and then stops it.
set -u
exec 3<>"/dev/tcp/$HOSTNAME/27017" || exit 1
printf '\x33\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1e\0\0\0\x10ping\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0' >&3
# {ok: 1.0} is 38 bytes long. An error is longer, and its first 38 bytes do not end with `ok` = 1.0.
reply=$(timeout 2 head -c 38 <&3 | od -An -v -tx1 | tr -d ' \n')
if [[ $reply == *016f6b00000000000000f03f00 ]]; then exit 0; fi
echo "no {ok: 1} in the answer to ping from $HOSTNAME:27017: ${reply:-nothing}" >&2
exit 1
