# How tests/debian_server.sh and tests/regression_sources.sh ask Debian's archive; to be sourced by bash after tests/environment.sh.

# The name of this machine's release of Debian.
codename()
{
    sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# Lists and a state of apt-get's own, below a directory that the caller removes, so that nothing is installed. The archive is the one that this machine
# has its packages from; TYPE is deb or deb-src.
#
#   configure_archive STATE TYPE SUITE...
configure_archive()
{
    local state=$1 type=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    local mirror suite
    shift 2

    # shellcheck disable=SC2016 # apt-get knows that variable
    mirror=$(env -u APT_CONFIG apt-get indextargets --format '$(REPO_URI)' "Release: $(codename)" | head -n 1)
    [ -n "$mirror" ] || return 1
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/none"
    : >"$state/status"
    for suite in "$@"; do
        echo "$type [signed-by=$keyring] $mirror $suite main"
    done >"$state/sources.list"
    export APT_CONFIG=$state/apt.conf
    cat >"$APT_CONFIG" <<END
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "$state/none";
Dir::Etc::preferences "$state/preferences";
Dir::Etc::preferencesparts "$state/none";
Dir::Etc::parts "$state/none";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "2";
Acquire::http::Timeout "20";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
END
}
