# Completion of pg_rewind's options in bash. They, and what their arguments are, are read from the program's own help.

_pg_rewind()
{
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}
    local equals='' argument='' help line

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
    # The help names the argument: --report-file=FILENAME.
    help=$("$1" --help)
    while read -r line; do
        if [[ $option = -* && $line =~ ^((-.),\ )?(--[a-z-]+)=([A-Z]+) ]] &&
            [[ $option = "${BASH_REMATCH[2]}" || $option = "${BASH_REMATCH[3]}" ]]; then
            argument=${BASH_REMATCH[4]}
        fi
    done <<<"$help"
    case $argument in
        DIR | DIRECTORY)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            ;;
        FILENAME)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
        FORMAT) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word") ;;
        WHICH) mapfile -t COMPREPLY < <(compgen -W 'none summary all' -- "$word") ;;
        METHOD) mapfile -t COMPREPLY < <(compgen -W 'fsync syncfs' -- "$word") ;;
        '')
            mapfile -t COMPREPLY < <(compgen -W "$(sed -n 's/^ *\(-., \)\{0,1\}\(--[a-z-]*=\{0,1\}\).*/\2/p' <<<"$help")" -- "$word")
            [[ ${COMPREPLY[0]:-} != *= ]] || compopt -o nospace
            ;;
    esac
}

complete -F _pg_rewind pg_rewind
