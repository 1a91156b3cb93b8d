#!/usr/bin/env bash
# A cluster of three servers that several teams share, from the first start to the rotation
# of a token. It runs on one machine, and needs the program gdiamond, curl, and an empty
# database:
#
#   go build -o gdiamond ./cmd/gdiamond
#   go run ./internal/dev/mariadb -serve diamond | tee dsn          # in another terminal
#   PATH=$PWD:$PATH GDIAMOND_MYSQL=$(cat dsn) examples/rights/cluster.sh
#
# docs/governance.md explains what happens here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/common.sh"

step "Three servers start with --rights. One of them sets the store up, and has the setup token."
for n in 1 2 3; do start_server $n --rights; done
setup=$(ls "$work"/server-*/setup-token)
cat "$work"/server-2.out # as each server greets

step "An administrator logs in with it, makes a token of their own, and revokes the setup token."
gdiamond login --server "$S1" "$setup"
gdiamond token create ann --description "Ann, who runs the centre" --secret-file ann-token
gdiamond grant add token:ann administrator all
gdiamond login --server "$S1" ann-token
gdiamond token revoke setup
rm "$setup"
gdiamond whoami

step "A tenant with three environments, its principals and their rights come from files."
gdiamond apply -f "$here/shop" --yes
expect 5 gdiamond apply -f "$here/shop" --dry-run # nothing is left to do; exit code 5, because ann is in no file
gdiamond namespace ls

step "The service and a colleague get their secrets."
gdiamond token rotate shop.service --secret-file service-token
gdiamond token rotate shop.bo --secret-file bo-token
gdiamond can read namespace:shop.production --as token:shop.service
gdiamond can read tenant:shop --as token:shop.bo

step "Ann publishes. The service reads at another server, and so does Bo."
echo 'limit: 100' | gdiamond publish shop.production/web/limits.yaml -
soon gdiamond get --server "$S2" --token-file service-token shop.production/web/limits.yaml
soon gdiamond get --server "$S3" --token-file bo-token shop.production/web/limits.yaml

step "What nothing grants is denied, whether or not it exists. The exit code is 1."
expect 1 gdiamond get --server "$S2" --token-file service-token shop.daily/web/limits.yaml
expect 1 gdiamond get --server "$S2" --token-file service-token shop.nowhere/web/limits.yaml
echo 'limit: 0' > zero.yaml
expect 1 gdiamond publish --server "$S2" --token-file bo-token shop.production/web/limits.yaml zero.yaml

step "The operator sees it in the metrics of that server."
metric "$S2" 'diamond_denials_total{reason="right"}'
metric "$S2" 'diamond_denials_total{reason="unregistered"}'
metric "$S2" 'diamond_quota_used{namespace="shop.production",quota="keys"}'

step "Clients of the original diamond cannot authenticate. They may read the namespace public."
echo 'greeting: hello' | gdiamond publish public/DEFAULT_GROUP/greeting.yaml -
soon original "$S3" 403 # nothing is granted to them yet
gdiamond grant add anonymous reader namespace:public
soon original "$S3" 200

step "The token of the service is rotated while it reads all the time."
read_all_the_time "$S2" shop.production/web/limits.yaml service-token & reader=$!
sleep 1
gdiamond token rotate shop.service --secret-file new-token # both are valid now
mv new-token service-token                                 # the service takes the new one with its next request
sleep 1
gdiamond token rotate shop.service --finish                # the older one is not valid any more
sleep 1
touch stop
wait $reader || fail "reads failed"

step "Everything worked."
