#!/bin/sh
# mpi_hosts.sh MPIRUN PROGRAM [ARGUMENT...]: runs the program on three "hosts" of one rank each: network namespaces that are made for it, with host names
# mh1 to mh3, connected by a bridge. Open MPI only. Says "skipped: ..." and succeeds where that is not permitted.
mpirun=$1
shift

if ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
  echo "skipped: no ip or unshare command"
  exit 0
fi
name=mh$$
made=
clean_up() {
  for number in $made; do ip netns del "$name-$number" 2>/dev/null; done
  ip link del "$name" 2>/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT INT TERM
folder=$(mktemp -d)

if ! ip link add "$name" type bridge 2>/dev/null; then
  echo "skipped: no network namespaces are permitted here"
  exit 0
fi
ip link set "$name" up
ip addr add 10.77.0.254/24 dev "$name"
for number in 1 2 3; do
  if ! ip netns add "$name-$number" 2>/dev/null; then
    echo "skipped: no network namespaces are permitted here"
    exit 0
  fi
  made="$made $number"
  ip link add "v$number-$$" type veth peer name eth0 netns "$name-$number" || exit 1
  ip link set "v$number-$$" master "$name" up
  ip -n "$name-$number" addr add "10.77.0.$number/24" dev eth0
  ip -n "$name-$number" link set eth0 up
  ip -n "$name-$number" link set lo up
done

# In the place of ssh: `agent [-x] ADDRESS COMMAND...`.
cat >"$folder/agent" <<END
#!/bin/sh
while [ "\${1#-}" != "\$1" ]; do shift; done
number=\${1##*.}
shift
exec ip netns exec "$name-\$number" unshare --uts sh -c "hostname mh\$number; \$*"
END
cat >"$folder/first" <<END
#!/bin/sh
hostname mh1
exec "\$@"
END
chmod +x "$folder/agent" "$folder/first"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ip netns exec "$name-1" unshare --uts "$folder/first" "$mpirun" --mca plm_rsh_agent "$folder/agent" --mca plm_rsh_no_tree_spawn 1 --bind-to none \
  --host 10.77.0.1:1,10.77.0.2:1,10.77.0.3:1 --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 --mca btl tcp,self -n 3 "$@"
