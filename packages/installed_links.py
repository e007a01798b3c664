#!/usr/bin/env python3
"""Let links in installed documents lead somewhere: packages/installed_links.py DIRECTORY [PLACE]

DIRECTORY has documents whose place in the project is PLACE ("docs" if it is not given). A link to a file of the project that is not installed with
them becomes one to the project's page. Meson runs this at the end of an installation; a relative DIRECTORY then lies in its prefix.
"""
import os
import posixpath
import re
import sys

HOMEPAGE = "https://pg-rewind-standalone.example"
LINK = re.compile(r"\]\(([^():#\s]+)(#[^()\s]*)?\)")

directory = os.path.join(os.environ.get("MESON_INSTALL_DESTDIR_PREFIX", ""), sys.argv[1])
place = sys.argv[2] if len(sys.argv) > 2 else "docs"


def changed(link, folder, in_project):
    path, anchor = link.group(1), link.group(2) or ""
    if os.path.exists(os.path.join(folder, path)):
        return link.group(0)
    return f"]({HOMEPAGE}/{posixpath.normpath(posixpath.join(in_project, path))}{anchor})"


for folder, folders, names in os.walk(directory):
    inside = os.path.relpath(folder, directory)
    in_project = posixpath.normpath(posixpath.join(place, inside))
    for name in names:
        if not name.endswith(".md"):
            continue
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        new = LINK.sub(lambda link: changed(link, folder, in_project), text)
        if new != text:
            with open(path, "w", encoding="utf-8") as file:
                file.write(new)
