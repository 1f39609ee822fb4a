# shellcheck shell=bash
# SPDX-License-Identifier: PostgreSQL
# Real S3 and SFTP servers, and lines with faults to them (tests/services).
# They are stopped when the test ends. A test takes this in after lib.sh.
#
#	store_s3_start [DIR]		exports S3_*; a bucket "dapk"
#	store_sftp_start [DIR]		exports SFTP_*
#	store_proxy NAME PORT		a fault proxy to it: PROXY[NAME] is its port
#	proxy_rules NAME RULE...	from the next connection on
#	stores_conf src local s3	$CONF: cluster src with these repositories
#
# What the repositories s3 and sftp are in the configuration: REPO_S3, REPO_SFTP,
# a text of lines each, to be changed by the test (conf_set).
declare -A PROXY=()
STORE_DIRS=()
SERVICES=$TEST_TOP/tests/services
SECRETS=() # nothing that the program says may hold one of these

# The environment may name keys and CAs for other programs.
while IFS= read -r name; do
	unset "$name"
done < <(compgen -e | grep -E '^(AWS_|S3_|SFTP_|SSL_CERT_|CURL_CA_|SSH_AUTH_SOCK$|DAPK_TEST_S|.*_proxy$|.*_PROXY$)' || :)

stores_stop() {
	local d name
	for name in "${!PROXY[@]}"; do stop_pid "$(cat "$T/$name.pid")"; done
	for d in "${STORE_DIRS[@]}"; do
		"${d%%:*}" stop "${d#*:}"
	done
}
AT_END+=(stores_stop)

take_env() { # DIR: what the server says of itself, exported
	set -a
	# shellcheck source=/dev/null
	. "$1/env"
	set +a
}

# -------------------------------------------------------------------- S3

# Takes seconds: one a test. The variables of s3-server go before the call.
store_s3_start() { # [DIR]
	local dir=${1:-$T/s3}
	STORE_DIRS+=("$SERVICES/s3-server:$dir")
	"$SERVICES/s3-server" start "$dir" >"$T/s3-start.out" 2>&1 ||
		fail "radosgw does not start: $(cat "$T/s3-start.out")"
	take_env "$dir"
	SECRETS+=("$S3_SECRET_KEY" "$S3_OTHER_SECRET_KEY")
	store_s3 PUT /dapk
	REPO_S3=$(repo_s3 s3 dapk/repo)
}

store_s3() { "$SERVICES/s3-request.py" "$@"; } # METHOD PATH...: see s3-request.py
store_s3_keys() { # [PREFIX]: of the bucket, sorted
	local after='' page
	while :; do
		page=$(store_s3 GET "/dapk?list-type=2&prefix=${1:-}&start-after=$after")
		grep -o '<Key>[^<]*' <<<"$page" | sed 's/<Key>//' || :
		[[ $page = *'<IsTruncated>true<'* ]] || break
		after=$(grep -o '<Key>[^<]*' <<<"$page" | tail -n 1 | sed 's/<Key>//')
	done
}

repo_s3() { # NAME BUCKET/PREFIX: the lines of a repository
	printf '%s\n' "[repository $1]" "url = s3://$2" "endpoint = $S3_ENDPOINT" \
		"region = $S3_REGION" "ca-file = $S3_CA" "access-key-id = $S3_ACCESS_KEY" \
		"secret-access-key = $S3_SECRET_KEY"
}

# ------------------------------------------------------------------ SFTP

store_sftp_start() { # [DIR]: as the cluster's user, who logs in
	local dir=${1:-$T/sftp}
	STORE_DIRS+=("$SERVICES/sftp-server:$dir")
	as_user "$SERVICES/sftp-server" start "$dir" >"$T/sftp-start.out" 2>&1 ||
		fail "sshd does not start: $(cat "$T/sftp-start.out")"
	take_env "$dir"
	REPO_SFTP=$(repo_sftp sftp "$SFTP_URL/repo")
}

repo_sftp() { # NAME URL
	printf '%s\n' "[repository $1]" "url = $2" "key-file = $SFTP_KEY" \
		"known-hosts = $SFTP_KNOWN_HOSTS"
}

# ----------------------------------------------------- lines with faults

store_proxy() { # NAME PORT
	local name=$1
	: >"$T/$name.rules"
	"$SERVICES/fault-proxy.py" 0 "$2" "$T/$name.rules" "$T/$name.lines" \
		>"$T/$name.port" 2>"$T/$name.proxy.log" &
	echo $! >"$T/$name.pid"
	PROXY[$name]=
	wait_for 20 "the proxy $name" grep -q ready "$T/$name.port"
	PROXY[$name]=$(sed 's/ready //' "$T/$name.port")
}

# Connections are numbered from 1 again, even when the rules are the same.
proxy_rules() { # NAME RULE...
	local name=$1
	shift
	: >"$T/$name.lines"
	printf '%s\n' "# $EPOCHREALTIME" "$@" >"$T/$name.rules.new"
	mv "$T/$name.rules.new" "$T/$name.rules"
}

proxy_hits() { grep -c ' hit$' "$T/$1.lines" || :; } # NAME: faults that did happen

# An SSH server that is behind another port too: the same host keys.
known_at() { # PORT: a known_hosts file for both
	{
		cat "$SFTP_KNOWN_HOSTS"
		sed "s/^\[127.0.0.1\]:$SFTP_PORT /[127.0.0.1]:$1 /" "$SFTP_KNOWN_HOSTS"
	} >"$T/known.$1"
	chmod 644 "$T/known.$1"
	echo "$T/known.$1"
}

# --------------------------------------------------------- configuration

conf_set() { # TEXT KEY [VALUE]: the lines with this key set, or without it
	grep -v "^$2 = " <<<"$1"
	[ $# -lt 3 ] || printf '%s = %s\n' "$2" "$3"
}

# Who else could read it would have the keys. GLOBAL: more lines.
stores_conf() { # CLUSTER REPOSITORY...: local, s3, sftp
	local name=$1 repo
	shift
	(
		umask 077
		{
			printf '[global]\njobs = 2\nstate-directory = %s\n' "$T/state"
			[ -z "${GLOBAL:-}" ] || printf '%s\n' "$GLOBAL"
			printf '\n[cluster main]\npgdata = %s\n' "$T/$name"
			printf 'conninfo = host=%s port=%s user=%s dbname=postgres\n' \
				"$T/$name.sock" "${PORT[$name]}" "$BACKUP_ROLE"
			printf 'repositories = %s\n\n' "$*"
			for repo in "$@"; do
				case $repo in
				local) printf '[repository local]\nurl = file://%s\n\n' "$REPO" ;;
				s3) printf '%s\n\n' "$REPO_S3" ;;
				sftp) printf '%s\n\n' "$REPO_SFTP" ;;
				*) fail "no repository $repo" ;;
				esac
			done
		} >"$CONF.new"
	)
	[ "$(id -u)" != 0 ] || chown "$CLUSTER_USER" "$CONF.new"
	mv "$CONF.new" "$CONF"
	want_role "$name"
}

# A cluster that archives into these, which are made.
pg_with_stores() { # NAME REPOSITORY...
	pg_new "$1"
	stores_conf "$@"
	expect 0 dapk init
	pg_start "$1"
}

# Neither the last command's words nor any log may tell a secret.
assert_no_secret() {
	local s f
	for s in "${SECRETS[@]}"; do
		assert_lacks "$OUT$ERR" "$s" "what was said"
		while IFS= read -r f; do
			! grep -qF -- "$s" "$f" || fail "a secret is in $f"
		done < <(find "$T" -maxdepth 1 -name '*.log' -o -path "$T/state/*" -type f)
	done
}
