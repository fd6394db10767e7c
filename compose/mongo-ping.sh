#!/bin/bash
# Health check: MongoDB's own `ping`, written by hand (OP_MSG {ping: 1, $db: "admin"}) and answered {ok: 1}.
#
# `mongosh --eval` would be shorter, but it starts Node.js each time: about half a processor second per check, for ever.
# The container's own address and not 127.0.0.1, where the image's first start runs a temporary server that makes
# the user and is stopped again.
set -u
exec 3<>"/dev/tcp/$HOSTNAME/27017" || exit 1
printf '\x33\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1e\0\0\0\x10ping\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0' >&3
# {ok: 1.0} is 38 bytes long; a refusal is longer, and its first 38 bytes hold no `ok` = 1.0 at the end.
reply=$(timeout 2 head -c 38 <&3 | od -An -v -tx1 | tr -d ' \n')
if [[ $reply == *016f6b00000000000000f03f00 ]]; then exit 0; fi
echo "no {ok: 1} in the answer to ping from $HOSTNAME:27017: ${reply:-nothing}" >&2
exit 1
