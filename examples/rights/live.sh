#!/usr/bin/env bash
# A live centre without rights gets them, by way of observe mode, and no request of its programs
# fails. It runs on one machine, and needs the program gdiamond, curl, and an empty database:
#
#   go build -o gdiamond ./cmd/gdiamond
#   go run ./internal/dev/mariadb -serve diamond | tee dsn          # in another terminal
#   PATH=$PWD:$PATH GDIAMOND_MYSQL=$(cat dsn) examples/rights/live.sh
#
# docs/governance.md explains what happens here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/common.sh"

step "Three servers ask nobody for rights. Two programs read all the time."
for n in 1 2 3; do start_server $n; done
cat "$work"/server-1.out
echo 'greeting: hello' | gdiamond publish --server "$S1" public/DEFAULT_GROUP/greeting.yaml -
echo 'limit: 100' | gdiamond publish --server "$S1" orders/web/limits.yaml -
gdiamond whoami --server "$S1"
read_all_the_time "$S1" public/DEFAULT_GROUP/greeting.yaml no-token & first=$!
read_all_the_time "$S2" orders/web/limits.yaml orders-token & second=$!

step "Server 3 is restarted with --rights=observe, which sets the store up for all servers."
kill "${pids[3]}" && wait "${pids[3]}" || true
start_server 3 --rights=observe
gdiamond login --server "$S1" "$work/server-3/setup-token"
gdiamond token create ann --secret-file ann-token
gdiamond grant add token:ann administrator all
gdiamond login --server "$S1" ann-token
gdiamond token revoke setup

step "Nothing is refused. The logs and the metrics tell what would be."
soon original "$S1" 200
metric "$S1" 'diamond_rights_mode'
metric "$S1" 'diamond_would_be_denials_total{reason="right"}'
grep -m 1 'observe mode' server-2.log

step "The program that can authenticate gets a token, and what the others read is granted to all."
gdiamond namespace ls # the set-up has registered what was there
gdiamond token create orders-service --secret-file new-token
gdiamond grant add token:orders-service reader namespace:orders
gdiamond grant add anonymous reader namespace:public
mv new-token orders-token # the program takes it with its next request

step "When nothing more would be refused, the centre is closed."
soon quiet "$S1"
soon quiet "$S2"
gdiamond rights mode closed
soon closed "$S2"
sleep 1

step "The programs have not noticed. Whoever has no right is refused from now on."
expect 1 gdiamond get --server "$S2" orders/web/limits.yaml # without a token
touch stop
wait $first || fail "reads of public failed"
wait $second || fail "reads of orders failed"

step "Everything worked."
