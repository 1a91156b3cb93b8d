# What cluster.sh and live.sh share. It is no part of what they show.

# The servers, and a directory that is removed at the end.
S1=${S1:-127.0.0.1:1211} S2=${S2:-127.0.0.1:1212} S3=${S3:-127.0.0.1:1213}
: "${GDIAMOND_MYSQL:?is the DSN of an empty database}"
work=$(mktemp -d)
export XDG_CONFIG_HOME=$work HOME=$work # where gdiamond keeps profiles
pids=()
end() {
  local code=$?
  touch "$work/stop"
  kill "${pids[@]}" 2>/dev/null || true
  wait
  if [ $code != 0 ]; then tail -n 30 "$work"/*.log; fi
  rm -rf "$work"
  exit $code
}
trap end EXIT
cd "$work"

step() { printf '\n# %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# gdiamond runs the program, and shows the command that it runs.
gdiamond() {
  echo "\$ gdiamond $*" >&2
  command gdiamond "$@"
}

# start_server N [FLAG...] starts the server N and waits until it is ready.
start_server() {
  local n=$1 address=S$1
  command gdiamond server --listen "${!address}" --peer "$S1,$S2,$S3" --data "$work/server-$n" \
    --mysql "$GDIAMOND_MYSQL" --migrate "${@:2}" >"server-$n.out" 2>"server-$n.log" &
  pids[n]=$!
  for _ in $(seq 300); do
    if curl -sf "http://${!address}/readyz" >/dev/null; then return; fi
    sleep 0.1
  done
  fail "server $n is not ready"
}

# expect CODE COMMAND runs a command that has to end with the exit code.
expect() {
  local code=0
  "${@:2}" || code=$?
  [ $code = "$1" ] || fail "${*:2}: exit code $code instead of $1"
}

# soon COMMAND tries a command for up to 5 s: what is written at one server is at the others a
# moment later.
soon() {
  for _ in $(seq 50); do
    if "$@"; then return; fi
    sleep 0.1
  done
  fail "$*"
}

# value SERVER SERIES prints the value of a series of the metrics, read with the
# administrator's token.
value() {
  local line
  line=$(curl -sf -H "Authorization: Bearer $(cat ann-token)" "http://$1/metrics" | grep -F "$2 ") || fail "no $2"
  echo "${line##* }"
}

# metric SERVER SERIES prints a series, which has to be above 0.
metric() {
  local value
  value=$(value "$1" "$2")
  echo "$2 $value"
  [ "$value" != 0 ] || fail "$2 is 0"
}

# quiet SERVER succeeds if nothing that closed mode would refuse has come for a second.
quiet() {
  local before
  before=$(value "$1" 'diamond_would_be_denials_total{reason="right"}')
  sleep 1
  [ "$(value "$1" 'diamond_would_be_denials_total{reason="right"}')" = "$before" ]
}

# closed SERVER succeeds if the server is in closed mode.
closed() { [ "$(value "$1" diamond_rights_mode)" = 2 ]; }

# original SERVER STATUS reads a configuration as a client of the original diamond does. It
# succeeds if the answer has the status.
original() {
  local status
  status=$(curl -s -o answer -w '%{http_code}' "http://$1/diamond-server/config?dataId=greeting.yaml&group=DEFAULT_GROUP")
  echo "$status $(cat answer)"
  [ "$status" = "$2" ]
}

# read_all_the_time SERVER KEY TOKEN-FILE reads a key with the token that the file has at each
# time, or with none if there is no file, until the file stop is there. No request may fail.
read_all_the_time() {
  local reads=0 failures=0 proof
  until [ -e stop ]; do
    proof=()
    if [ -e "$3" ]; then proof=(-H "Authorization: Bearer $(cat "$3")"); fi
    if curl -sf "${proof[@]}" "http://$1/v1/configs/$2" >/dev/null; then
      reads=$((reads + 1))
    else
      failures=$((failures + 1))
    fi
  done
  echo "$reads reads of $2, $failures failures"
  [ $reads -gt 10 ] && [ $failures = 0 ]
}
