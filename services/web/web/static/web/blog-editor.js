// A post's text in the admin site: django-prose-editor's parts, put together here because its own way wants an import
// map and a style inside the page, which the pages' policy refuses. Pictures are uploaded as they are put in. Where this
// does not run, there is the textarea with its HTML.

const OWN_PICTURE = 'img[src*="/media/blog/"]';

const MENU = [
  ["heading2", "heading3", "paragraph"],
  ["bold", "italic", "underline", "strike", "code"],
  ["link", "unlink"],
  ["bulletList", "orderedList", "blockquote", "codeBlock", "horizontalRule"],
  ["figure"],
  ["history:undo", "history:redo"],
];

for (const textarea of document.querySelectorAll("textarea[data-editor]")) start(textarea);

async function start(textarea) {
  const words = JSON.parse(textarea.dataset.words);
  const others = window.gettext;
  window.gettext = (text) => words[text] ?? others?.(text) ?? text; // the editor takes it along as it is loaded
  const parts = await import(textarea.dataset.editor);
  if (others) window.gettext = others;
  edit(textarea, parts, words);
}

function edit(textarea, parts, words) {
  const { crel } = parts;
  const upload = uploader(textarea, words);
  const dialog = (editor, info, file) => askForPicture(editor, info, file, { textarea, upload, crel, words });

  const Image = parts.Image.extend({ parseHTML: () => [{ tag: OWN_PICTURE }] });
  const Figure = parts.Figure.extend({
    parseHTML: () => [{ tag: "figure", getAttrs: (figure) => !!figure.querySelector(OWN_PICTURE) && null }],
    addCommands() {
      return {
        ...this.parent?.(),
        editImage: () => ({ editor, state, dispatch }) => {
          const info = chosenPicture(state);
          const may = info || parts.canInsertNode(state, state.schema.nodes.figure);
          if (dispatch && may) dialog(editor, info);
          return !!may;
        },
      };
    },
  });

  const element = crel("div", { className: "prose-editor" });
  textarea.before(element);
  element.append(textarea);
  const label = textarea.form.querySelector(`label[for="${textarea.id}"]`);
  const editor = new parts.Editor({
    element,
    injectCSS: false,
    content: textarea.value,
    extensions: [
      parts.Document, parts.Paragraph, parts.Text, parts.HardBreak, parts.Gapcursor, parts.Dropcursor, parts.TrailingNode,
      parts.Heading.configure({ levels: [2, 3, 4] }), parts.Blockquote, parts.HorizontalRule, parts.CodeBlock,
      parts.BulletList, parts.OrderedList.configure({ enableListAttributes: false }), parts.ListItem,
      parts.Bold, parts.Italic, parts.Underline, parts.Strike, parts.Subscript, parts.Superscript, parts.Code,
      parts.Link.configure({ enableTarget: false, protocols: ["mailto"] }),
      parts.Table, parts.TableRow, parts.TableHeader, parts.TableCell,
      Image, Figure, parts.Caption, parts.History,
      parts.Menu.configure({ items: (tools) => groups(tools, words) }),
    ],
    editorProps: {
      attributes: { role: "textbox", "aria-multiline": "true", "aria-label": label?.textContent.replace(/:\s*$/, "") ?? "" },
      handlePaste: (_view, event) => takeFile(event.clipboardData, (file) => dialog(editor, null, file)),
      handleDrop: (_view, event, _slice, moved) => !moved && takeFile(event.dataTransfer, (file) => dialog(editor, null, file)),
    },
    onUpdate: () => {
      textarea.value = editor.getHTML().replace(/(<p><\/p>)+$/, "");
      textarea.dispatchEvent(new Event("input", { bubbles: true }));
    },
  });
  label?.addEventListener("click", () => editor.commands.focus());
}

function groups({ editor, buttons, menu }, words) {
  const all = new Map(menu.items("nodes marks link history lists headings").map((item) => [item.name, item]));
  for (const { button } of all.values()) {
    if (!button) continue;
    button.title = words[button.title] ?? button.title;
    button.setAttribute("aria-label", button.title);
  }
  all.get("codeBlock").button.textContent = "integration_instructions"; // an icon's name; the editor's own is that of code
  return MENU.map((names) => menu.buttonGroup({ editor, buttons }, names.flatMap((name) => all.get(name) ?? [])));
}

// The picture that is selected, or in whose figure the cursor is.
function chosenPicture({ selection }) {
  if (selection.node?.type.name === "image") return { node: selection.node, at: selection.from };
  for (let depth = selection.$from.depth; depth >= 0; depth--) {
    const figure = depth === 0 ? selection.node : selection.$from.node(depth);
    if (figure?.type.name !== "figure") continue;
    const inside = (depth === 0 ? selection.from : selection.$from.before(depth)) + 1;
    return { node: figure.firstChild, at: inside };
  }
  return null;
}

// A picture's file that was pasted or dropped, unless text came with it.
function takeFile(data, take) {
  const file = [...(data?.files ?? [])].find((each) => each.type.startsWith("image/"));
  const html = data?.getData("text/html") ?? "";
  const text = new DOMParser().parseFromString(html, "text/html").body.textContent.trim();
  if (!file || text) return false;
  take(file);
  return true;
}

// Sends a picture; what comes of it, or throws an Error with a sentence.
function uploader(textarea, words) {
  return async (file, alt) => {
    const body = new FormData();
    body.append("file", file);
    body.append("alt", alt);
    body.append("csrfmiddlewaretoken", textarea.form.elements.csrfmiddlewaretoken.value);
    let answer, said;
    try {
      answer = await fetch(textarea.dataset.upload, { method: "POST", body });
      said = await answer.json();
    } catch {
      throw new Error(answer?.status === 413 ? words["too big"] : words.failed);
    }
    if (!answer.ok) throw new Error(said.error ?? words.failed);
    return said;
  };
}

function askForPicture(editor, info, given, { textarea, upload, crel, words }) {
  const file = crel("input", { type: "file", accept: textarea.dataset.accept, id: "picture-file" });
  const alt = crel("input", { type: "text", maxLength: 300, id: "picture-alt", value: info?.node.attrs.alt ?? "" });
  const caption = crel("input", { type: "text", id: "picture-caption" });
  const refusal = crel("p", { className: "blog-refusal", role: "alert" });
  const submit = crel("button", { type: "submit", textContent: info ? words.save : words.insert });
  const cancel = crel("button", { type: "button", textContent: words.Cancel });
  const row = (input, text) =>
    crel("div", { className: "prose-editor-dialog-field" }, [crel("label", { htmlFor: input.id, textContent: text }), input]);
  const form = crel("form", {}, [
    crel("h3", { className: "prose-editor-dialog-title", textContent: info ? words["change picture"] : words["insert picture"] }),
    row(file, info ? words["another file"] : words.file),
    row(alt, words.alt),
    ...(info ? [] : [row(caption, words.caption)]),
    refusal,
    crel("div", { className: "prose-editor-dialog-buttons" }, [submit, cancel]),
  ]);
  const dialog = crel("dialog", { className: "prose-editor-dialog" }, [form]);
  document.body.append(dialog); // not into the post's own form: forms do not nest
  if (given) {
    const files = new DataTransfer();
    files.items.add(given);
    file.files = files.files;
  }

  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { dialog.remove(); editor.commands.focus(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = file.files[0];
    refusal.textContent = chosen || info ? "" : words["no file"];
    if (refusal.textContent) return;
    submit.disabled = true;
    submit.textContent = words.uploading;
    try {
      const attrs = { alt: alt.value.trim() };
      if (chosen) {
        const kept = await upload(chosen, attrs.alt);
        Object.assign(attrs, { src: kept.src, alt: kept.alt });
      }
      if (!dialog.open) return; // it was cancelled meanwhile
      dialog.close();
      put(editor, info, attrs, caption.value.trim());
    } catch (error) {
      refusal.textContent = error.message;
    } finally {
      submit.disabled = false;
      submit.textContent = info ? words.save : words.insert;
    }
  });
  dialog.showModal();
}

function put(editor, info, attrs, caption) {
  if (info) {
    editor.chain().focus().setNodeSelection(info.at).updateAttributes("image", attrs).run();
    return;
  }
  const content = [{ type: "image", attrs }];
  if (caption) content.push({ type: "caption", content: [{ type: "text", text: caption }] });
  editor.chain().focus().insertContent({ type: "figure", content }).run();
}
