# Completion of pg_rewind's options in bash. They are read from the program's own help.

_pg_rewind()
{
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} equals=

    # bash takes "--report=te" for three words.
    if [ "$word" = = ]; then
        word=
        equals='='
    elif [ "$option" = = ]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
        equals='='
    fi

    COMPREPLY=()
    case $option$equals in
        --progress=) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word") && return ;;
    esac
    case $option in
        -D | --target-pgdata | --source-pgdata | -B | --bindir | --save-diverged-wal | --save-lost-rows | --wal-archive)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            ;;
        --config-file | --report-file)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
        --report) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word") ;;
        --report-transactions) mapfile -t COMPREPLY < <(compgen -W 'none summary all' -- "$word") ;;
        --sync-method) mapfile -t COMPREPLY < <(compgen -W 'fsync syncfs' -- "$word") ;;
        --source-server | -j | --jobs | -r | --max-rate | -T | --tablespace-mapping | --keep | --restore-command | --start-command | --stop-command | --retries | --slot | --demote | --max-lost-transactions | --*-timeout) ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "$("$1" --help | sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p')" -- "$word")
            [[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace
            ;;
    esac
}

complete -F _pg_rewind pg_rewind
